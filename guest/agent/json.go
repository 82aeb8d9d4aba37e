// A small strict JSON reader for the questions. encoding/json works by reflection: ten times the code to run
// through on cold caches, right when a restored VM has to answer.
package main

import (
	"encoding/json"
	"unicode/utf8"
)

const maxJSONDepth = 16

type jsonParser struct {
	text   []byte
	at     int
	failed bool
}

func (p *jsonParser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// peek returns the next byte that is not space, or 0.
func (p *jsonParser) peek() byte {
	p.space()
	if p.failed || p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *jsonParser) expect(c byte) bool {
	if p.peek() != c {
		p.failed = true
		return false
	}
	p.at++
	return true
}

func (p *jsonParser) end() {
	if p.space(); p.at != len(p.text) {
		p.failed = true
	}
}

// object calls member after each name; member must read exactly one value.
func (p *jsonParser) object(member func(name string)) {
	if !p.expect('{') {
		return
	}
	if p.peek() == '}' {
		p.at++
		return
	}
	for !p.failed {
		name := p.string()
		if !p.expect(':') {
			return
		}
		member(name)
		if p.peek() != ',' {
			p.expect('}')
			return
		}
		p.at++
	}
}

func (p *jsonParser) array(element func()) {
	if !p.expect('[') {
		return
	}
	if p.peek() == ']' {
		p.at++
		return
	}
	for !p.failed {
		element()
		if p.peek() != ',' {
			p.expect(']')
			return
		}
		p.at++
	}
}

// plainBytes reads a string of plain characters and returns where it stands.
func (p *jsonParser) plainBytes() []byte {
	if !p.expect('"') {
		return nil
	}
	for start := p.at; p.at < len(p.text) && p.text[p.at] >= ' ' && p.text[p.at] < utf8.RuneSelf && p.text[p.at] != '\\'; p.at++ {
		if p.text[p.at] == '"' {
			p.at++
			return p.text[start : p.at-1]
		}
	}
	p.failed = true
	return nil
}

func (p *jsonParser) string() string {
	if !p.expect('"') {
		return ""
	}
	for start := p.at; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		if c == '"' {
			p.at++
			return string(p.text[start : p.at-1])
		}
		if c == '\\' || c >= utf8.RuneSelf {
			return p.unusualString(start)
		}
		if c < ' ' {
			break
		}
	}
	p.failed = true
	return ""
}

// unusualString leaves escapes and other scripts to the library.
func (p *jsonParser) unusualString(start int) string {
	for ; p.at < len(p.text) && p.text[p.at] != '"'; p.at++ {
		if p.text[p.at] == '\\' {
			p.at++
		}
	}
	var value string
	if p.at >= len(p.text) || json.Unmarshal(p.text[start-1:p.at+1], &value) != nil {
		p.failed = true
		return ""
	}
	p.at++
	return value
}

func (p *jsonParser) integer() int64 {
	negative := p.peek() == '-'
	if negative {
		p.at++
	}
	start, value := p.at, int64(0)
	for ; p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9'; p.at++ {
		value = value*10 + int64(p.text[p.at]-'0')
	}
	if digits := p.at - start; digits == 0 || digits > 18 || digits > 1 && p.text[start] == '0' {
		p.failed = true
		return 0
	}
	if negative {
		return -value
	}
	return value
}

func (p *jsonParser) word(word string) bool {
	if p.peek() == word[0] && len(p.text)-p.at >= len(word) && string(p.text[p.at:p.at+len(word)]) == word {
		p.at += len(word)
		return true
	}
	return false
}

func (p *jsonParser) null() bool { return p.word("null") }

func (p *jsonParser) boolean() bool {
	if p.word("true") {
		return true
	}
	if !p.word("false") {
		p.failed = true
	}
	return false
}

// skip reads a value nobody asked for.
func (p *jsonParser) skip(depth int) {
	if depth > maxJSONDepth {
		p.failed = true
		return
	}
	switch p.peek() {
	case '{':
		p.object(func(string) { p.skip(depth + 1) })
	case '[':
		p.array(func() { p.skip(depth + 1) })
	case '"':
		p.string()
	case 't', 'f':
		p.boolean()
	case 'n':
		if !p.null() {
			p.failed = true
		}
	default:
		p.integer()
	}
}
