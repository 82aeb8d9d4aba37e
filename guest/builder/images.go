// Which images are there without a registry, and how the others are fetched. The host's own base images lie on the root disk as
// a read-only store; all else is in the account's cache.
package main

import (
	"encoding/json"
	"os"
	"sort"
	"strings"
)

const (
	baseStore  = "/images"
	cacheStore = cacheRoot + "/root"
	localNames = "localhost/waterbear/"
	// Nothing is verified but what TLS verifies, as on hosts without builder VMs.
	policy = `{"default":[{"type":"insecureAcceptAnything"}]}`
)

// Only settings of ours, whatever files the builder's own packages brought.
var buildEnvironment = []string{
	"LC_ALL=C.UTF-8",
	"TMPDIR=" + workRoot + "/tmp",
	"XDG_RUNTIME_DIR=/run/buildah",
	"BUILDAH_ISOLATION=chroot",
	"CONTAINERS_CONF=/dev/null",
	"CONTAINERS_STORAGE_CONF=/etc/containers/storage.conf",
	"CONTAINERS_REGISTRIES_CONF=/etc/containers/registries.conf",
}

const storage = `[storage]
driver = "overlay"
graphroot = "` + cacheStore + `"
runroot = "/run/buildah/storage"
[storage.options]
additionalimagestores = ["` + baseStore + `"]
`

func (b *build) writeSettings() error {
	for _, directory := range []string{contextRoot, workRoot + "/tmp", "/run/buildah", "/etc/containers"} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return err
		}
	}
	for file, text := range map[string]string{
		"/etc/containers/storage.conf":       storage,
		"/etc/containers/policy.json":        policy,
		"/etc/containers/registries.conf":    b.order.Registries,
		"/etc/ssl/certs/ca-certificates.crt": b.order.Authorities,
	} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) pull(images []image) *stepFailure {
	for _, image := range images {
		if contains(imageNames(baseStore), image.Name) || contains(imageNames(cacheStore), image.Name) {
			continue
		}
		failed := &stepFailure{Step: "pull", Image: image.Name, Local: localImages()}
		if strings.HasPrefix(image.Name, "localhost/") {
			return failed
		}
		b.host.Write([]byte("Pulling " + image.Name + "\n"))
		_, pulled := buildah("pull", "--quiet", "--retry", "0", "docker://"+image.Name).output("pull")
		if pulled != nil {
			failed.Said, failed.ExitCode, failed.Signal = pulled.Said, pulled.ExitCode, pulled.Signal
			return failed
		}
	}
	return nil
}

func localImages() []string {
	local := []string{}
	for _, name := range imageNames(baseStore) {
		if strings.HasPrefix(name, localNames) {
			local = append(local, name)
		}
	}
	sort.Strings(local)
	return local
}

// imageNames reads the store's own list: a process of buildah for every question would take a second each.
func imageNames(store string) []string {
	text, err := os.ReadFile(store + "/overlay-images/images.json")
	if err != nil {
		return nil
	}
	var list []struct {
		Names []string `json:"names"`
	}
	if json.Unmarshal(text, &list) != nil {
		return nil
	}
	var names []string
	for _, image := range list {
		names = append(names, image.Names...)
	}
	return names
}

func contains(list []string, wanted string) bool {
	for _, one := range list {
		if one == wanted {
			return true
		}
	}
	return false
}
