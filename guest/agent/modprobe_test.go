package main

import (
	"errors"
	"strings"
	"testing"
)

const testIndex = `needs overlay
needs bridge stp llc
needs stp llc
needs llc
needs loop
needs nft_masq nf_nat nf_tables
needs nf_nat virtio_ring
needs nf_tables
alias fs-overlay overlay
alias rtnl-link-bridge bridge
alias block-major-7-* loop
alias nft-expr-2-masq nft_masq
alias [ broken
`

func TestModulesByAlias(t *testing.T) {
	for wanted, want := range map[string]string{
		"fs-overlay":       "overlay",
		"overlay":          "overlay",
		"rtnl-link-bridge": "llc stp bridge",
		"rtnl_link-bridge": "llc stp bridge",
		"block-major-7-3":  "loop",
		"nft-expr-2-masq":  "nf_nat nf_tables nft_masq",
		"nft-expr-10-masq": "no module",
		"../../init":       "no module",
		"":                 "no module",
	} {
		var loaded []string
		err := probe(parseModuleIndex(testIndex), wanted, func(name string) error {
			loaded = append(loaded, name)
			return nil
		})
		got := strings.Join(loaded, " ")
		if err != nil {
			got = "no module"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", wanted, got, want)
		}
	}
}

func TestModuleThatDoesNotLoadStopsWhatNeedsIt(t *testing.T) {
	var loaded []string
	err := probe(parseModuleIndex(testIndex), "bridge", func(name string) error {
		loaded = append(loaded, name)
		if name == "stp" {
			return errors.New("broken")
		}
		return nil
	})
	if err == nil || strings.Join(loaded, " ") != "llc stp" {
		t.Fatal(err, loaded)
	}
}
