// Package durable writes small files that must be whole after a power cut: the
// old content or the new, never half of either.
//
//	err := durable.Replace("policy.yaml", data)
//
// It must not know what stands in them.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace makes data the content of the file at path, which only its owner may
// read. It is on disk when Replace returns nil; else the old content stands, or
// the new one when only the folder could not be brought to disk. One caller at a time may replace a file. Errors are those of package os.
func Replace(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	if err := Rename(path+".new", path); err != nil {
		return errors.Join(err, os.RemoveAll(path+".new"))
	}
	return nil
}

// Rename is os.Rename of a file or folder that is on disk already; the new name
// is too when it returns nil.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
