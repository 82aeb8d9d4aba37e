// The steps of one build, in order.
package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	cacheRoot = "/cache"
	// Emptied for every build; the layers beside it stay.
	workRoot    = cacheRoot + "/work"
	contextRoot = workRoot + "/context"
)

type build struct {
	host  *conversation
	order *order
}

func (b *build) run() (*built, *stepFailure) {
	for _, step := range []struct {
		name string
		do   func() error
	}{{"cache", disks.mountCache}, {"settings", b.writeSettings}} {
		if err := step.do(); err != nil {
			return nil, &stepFailure{Step: step.name, What: err.Error()}
		}
	}
	answer, failed := b.unpack()
	if failed != nil {
		return nil, failed
	}
	if failed := b.pull(answer.Images); failed != nil {
		return nil, failed
	}
	id, failed := b.containerBuild(answer.Dockerfile)
	if failed != nil {
		return nil, failed
	}
	inspected, failed := buildah("inspect", "--type", "image", id).output("build")
	if failed != nil {
		return nil, failed
	}
	bytes, failed := b.export(id)
	if failed != nil {
		return nil, failed
	}
	return &built{ImageID: id, Inspected: []byte(inspected), CodeInstallBytes: bytes}, nil
}

// unpack sends the Dockerfile to the host, which knows what may be built and how images are called.
func (b *build) unpack() (*checked, *stepFailure) {
	zip := io.NewSectionReader(disks.zip, 0, b.order.ZipBytes)
	facts, err := unpackArchive(zip, contextRoot, b.order.Limits)
	if err != nil {
		return nil, archiveFailure(err)
	}
	text, failed := b.readDockerfile()
	if failed != nil {
		return nil, failed
	}
	facts.Dockerfile = text
	if err := b.host.send(message{Unpacked: facts}); err != nil {
		return nil, &stepFailure{Step: "host", What: err.Error()}
	}
	var answer checked
	if err := b.host.receive(&answer); err != nil {
		return nil, &stepFailure{Step: "host", What: err.Error()}
	}
	if answer.Stop {
		return nil, &stepFailure{Step: "stopped"}
	}
	return &answer, nil
}

func archiveFailure(err error) *stepFailure {
	var fault *archiveFault
	switch {
	case errors.As(err, &fault):
		return &stepFailure{Step: "archive", Reason: fault.reason, What: fault.what}
	case errors.Is(err, syscall.ENOSPC):
		return &stepFailure{Step: "archive", Reason: "DISK_STORAGE_FULL", What: "The build's disk has no space left to unpack the zip."}
	}
	return &stepFailure{Step: "archive", Reason: invalid, What: "The zip cannot be read: " + err.Error() + "."}
}

func (b *build) readDockerfile() ([]byte, *stepFailure) {
	file, err := os.OpenFile(contextRoot+"/Dockerfile", os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, archiveFailure(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, b.order.MaxDockerfileBytes+1))
	if err != nil {
		return nil, archiveFailure(err)
	}
	if int64(len(text)) > b.order.MaxDockerfileBytes {
		what := "The Dockerfile is larger than " + strconv.FormatInt(b.order.MaxDockerfileBytes, 10) + " bytes."
		return nil, &stepFailure{Step: "archive", Reason: "CONTAINER_BUILD_FAILED", What: what}
	}
	return text, nil
}

func (b *build) containerBuild(dockerfile []byte) (string, *stepFailure) {
	file, idFile := filepath.Join(workRoot, "Dockerfile"), filepath.Join(workRoot, "image-id")
	if err := os.WriteFile(file, dockerfile, 0o600); err != nil {
		return "", &stepFailure{Step: "build", Said: err.Error()}
	}
	arguments := append([]string{}, b.order.BuildArguments...)
	arguments = append(arguments, "--iidfile", idFile, "--file", file, contextRoot)
	command := buildah(arguments...)
	command.maxFileBytes = b.order.MaxFileBytes
	if failed := command.logged("build", b.host); failed != nil {
		return "", failed
	}
	id, err := os.ReadFile(idFile)
	if err != nil {
		return "", &stepFailure{Step: "build", Said: err.Error()}
	}
	return string(bytes.TrimSpace(id)), nil
}

// export writes the image's tree onto the output disk as a file system. The device discards, so what is not written stays a hole.
func (b *build) export(id string) (int64, *stepFailure) {
	container, failed := buildah("from", "--pull-never", id).output("export")
	if failed != nil {
		return 0, failed
	}
	tree, failed := buildah("mount", strings.TrimSpace(container)).output("export")
	if failed != nil {
		return 0, failed
	}
	tree = strings.TrimSpace(tree)
	used, failed := newCommand("du", "-s", "--block-size=1", tree).output("export")
	if failed != nil {
		return 0, failed
	}
	size, _, _ := strings.Cut(used, "\t")
	codeBytes, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return 0, &stepFailure{Step: "export", Said: err.Error()}
	}
	arguments := make([]string, 0, len(b.order.DiskArguments)+3)
	for _, argument := range b.order.DiskArguments {
		arguments = append(arguments, strings.ReplaceAll(argument, "UUID", uuidOf(id)))
	}
	mkfs := newCommand("mkfs.ext4", append(arguments, "-d", tree, disks.output)...)
	// The times on the disk depend on the image only.
	mkfs.environment = []string{"E2FSPROGS_FAKE_TIME=1"}
	if _, failed := mkfs.output("export"); failed != nil {
		return 0, failed
	}
	_, failed = buildah("rm", strings.TrimSpace(container)).output("export")
	return codeBytes, failed
}

func uuidOf(imageID string) string {
	id := strings.TrimPrefix(imageID, "sha256:") + strings.Repeat("0", 32)
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:32]}, "-")
}
