// Shapes of the names a freshen brings.
package main

func validHostname(name string) bool {
	if len(name) == 0 || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

// hexShape tells whether text is lower-case hexadecimal with dashes exactly at the given places.
func hexShape(text string, length int, dashes ...int) bool {
	if len(text) != length {
		return false
	}
	next := 0
	for i := 0; i < length; i++ {
		if next < len(dashes) && dashes[next] == i {
			if text[i] != '-' {
				return false
			}
			next++
			continue
		}
		if c := text[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}
