// Unpacks the zip of a build. The zip is hostile: names, links, sizes and counts are checked before and while anything is
// written. The same limits and sentences as src/build/archive.ts, which hosts without builder VMs use.
package main

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	maxLinkBytes = 4096
	// Go reads the whole directory of a zip before it says how long it is.
	maxDirectoryBytes = 64 << 20
)

type archiveLimits struct {
	Entries         int   `json:"entries"`
	UnpackedBytes   int64 `json:"unpackedBytes"`
	Ratio           int64 `json:"ratio"`
	RatioFloorBytes int64 `json:"ratioFloorBytes"`
}

// budget counts what is really unpacked; declared sizes are the archive's own words.
type budget struct {
	used, zipBytes int64
	limits         archiveLimits
}

func (b *budget) Write(text []byte) (int, error) {
	b.used += int64(len(text))
	if b.used > b.limits.UnpackedBytes {
		return 0, refuse("The zip unpacks to more than %d bytes.", b.limits.UnpackedBytes)
	}
	if b.used > b.limits.RatioFloorBytes && b.used > b.zipBytes*b.limits.Ratio {
		return 0, refuse("The zip unpacks to more than %d times its size, which looks like a decompression bomb.", b.limits.Ratio)
	}
	return len(text), nil
}

// firstReads ends with an error when more is read than a directory of honest size; switched off when that is read.
type firstReads struct {
	io.ReaderAt
	left int64
	off  bool
}

func (r *firstReads) ReadAt(buffer []byte, at int64) (int, error) {
	if r.left -= int64(len(buffer)); r.left < 0 && !r.off {
		return 0, refuse("The directory of the zip is larger than %d bytes.", maxDirectoryBytes)
	}
	return r.ReaderAt.ReadAt(buffer, at)
}

type unpacking struct {
	root   string
	tree   archiveTree
	budget *budget
	links  []link
}

type link struct{ path, target string }

// unpackArchive fills root, which is there and empty. Errors are *archiveFault or what reading and writing said.
func unpackArchive(source *io.SectionReader, root string, limits archiveLimits) (*unpacked, error) {
	reads := &firstReads{ReaderAt: source, left: maxDirectoryBytes}
	archive, err := zip.NewReader(reads, source.Size())
	if err != nil {
		return nil, err
	}
	reads.off = true
	if len(archive.File) > limits.Entries {
		return nil, refuse("The zip has more than %d entries.", limits.Entries)
	}
	u := &unpacking{root, archiveTree{}, &budget{zipBytes: source.Size(), limits: limits}, nil}
	for _, entry := range archive.File {
		if err := u.take(entry); err != nil {
			return nil, err
		}
	}
	if found := u.tree["Dockerfile"].kind; found != plainFile {
		return nil, dockerfileMissing(found)
	}
	// Made last, so that no entry is ever written through one.
	for _, link := range u.links {
		file := filepath.Join(root, link.path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		if err := os.Symlink(link.target, file); err != nil {
			return nil, err
		}
	}
	return &unpacked{Entries: len(archive.File), UnpackedBytes: u.budget.used}, nil
}

func dockerfileMissing(found entryKind) error {
	why := "there is none"
	if found != "" {
		why = "it is a " + string(found)
	}
	return &archiveFault{missing, fmt.Sprintf("The zip must hold a regular file named Dockerfile at its root, but %s. "+
		"Zip the files themselves, not the folder they are in.", why)}
}

func (u *unpacking) take(entry *zip.File) error {
	path, err := entryPath(entry.Name)
	if err != nil || path == "" {
		return err
	}
	if entry.Flags&1 != 0 {
		return refuse("The entry %s in the zip is encrypted.", shown(path))
	}
	kind := kindOf(entry)
	if kind == "" {
		return refuse("The entry %s in the zip is neither a file, a directory nor a symlink.", shown(path))
	}
	if err := u.tree.add(path, kind); err != nil {
		return err
	}
	file := filepath.Join(u.root, path)
	switch kind {
	case directory:
		return os.MkdirAll(file, 0o755)
	case symlink:
		return u.readLink(entry, path)
	}
	return u.writeFile(entry, file)
}

// unixMode is 0 when the zip was made elsewhere. 3 is Unix, 19 is macOS.
func unixMode(entry *zip.File) uint32 {
	if madeBy := entry.CreatorVersion >> 8; madeBy != 3 && madeBy != 19 {
		return 0
	}
	return entry.ExternalAttrs >> 16
}

func kindOf(entry *zip.File) entryKind {
	kind := unixMode(entry) & 0o170000
	if entry.Name[len(entry.Name)-1] == '/' {
		if kind == 0 || kind == 0o040000 {
			return directory
		}
		return ""
	}
	switch kind {
	case 0, 0o100000:
		return plainFile
	case 0o120000:
		return symlink
	}
	return ""
}

func (u *unpacking) writeFile(entry *zip.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	source, err := entry.Open()
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.MultiWriter(u.budget, file), source)
	if err = firstOf(err, file.Close()); err != nil {
		return err
	}
	mode := unixMode(entry)
	if mode == 0 {
		mode = 0o644
	}
	// Permission bits only: set-user-id, set-group-id and sticky are dropped.
	return os.Chmod(path, os.FileMode(mode&0o777|0o400))
}

func firstOf(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

func (u *unpacking) readLink(entry *zip.File, path string) error {
	source, err := entry.Open()
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := io.ReadAll(io.LimitReader(source, maxLinkBytes+1))
	if err != nil {
		return err
	}
	if len(target) > maxLinkBytes {
		return refuse("The symlink %s in the zip has a target that is too long.", shown(path))
	}
	if _, err := u.budget.Write(target); err != nil {
		return err
	}
	if err := checkSymlink(path, string(target)); err != nil {
		return err
	}
	u.links = append(u.links, link{path, string(target)})
	return nil
}
