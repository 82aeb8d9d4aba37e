package main

import (
	"fmt"
	"testing"
)

const (
	testPasswd = "root:x:0:0:root:/root:/bin/sh\nbroken:x\napp:x:1000:1001:App:/home/app:/bin/sh\nnohome:x:7:7:::\n1234:x:5:5::/five:\n"
	testGroup  = "root:x:0:\napp:x:1001:\nwheel:x:10:app,root\nvideo:x:44:other,app\nbad:x:y:app\n"
)

func TestUsers(t *testing.T) {
	for wanted, want := range map[string]string{
		"":             "{0 0 [0 10] /root}",
		"root":         "{0 0 [0 10] /root}",
		"app":          "{1000 1001 [1001 10 44] /home/app}",
		"1000":         "{1000 1001 [1001 10 44] /home/app}",
		"app:video":    "{1000 44 [] /home/app}",
		"app:77":       "{1000 77 [] /home/app}",
		"4242":         "{4242 0 [0] /}",
		"4242:wheel":   "{4242 10 [] /}",
		"nohome":       "{7 7 [7] /}",
		"1234":         "{5 5 [5] /five}",
		"nobody":       `user "nobody" is not in the image's /etc/passwd`,
		"app:nogroup":  `group "nogroup" is not in the image's /etc/group`,
		"-1":           `user "-1" is not in the image's /etc/passwd`,
		"4294967296:0": `user "4294967296" is not in the image's /etc/passwd`,
	} {
		got, err := resolveUser(wanted, testPasswd, testGroup)
		text := fmt.Sprint(got)
		if err != nil {
			text = err.Error()
		}
		if text != want {
			t.Errorf("%q: %s, want %s", wanted, text, want)
		}
	}
}

func TestImageWithoutAccounts(t *testing.T) {
	if got, err := resolveUser("", "", ""); err != nil || got.uid != 0 || got.home != "/" {
		t.Fatal(got, err)
	}
}

func TestHomeAndPathAreGivenWhenMissing(t *testing.T) {
	if got := fmt.Sprint(environment(map[string]string{"PATH": "/x"}, "/h")); got != "[HOME=/h PATH=/x]" {
		t.Fatal(got)
	}
	if got := fmt.Sprint(environment(map[string]string{"HOME": "/y"}, "/h")); got != "[HOME=/y PATH="+defaultPath+"]" {
		t.Fatal(got)
	}
}
