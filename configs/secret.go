package configs

import (
	"fmt"
	"io"
	"os"
)

// maxSecret bounds what is read of a secret file, in bytes.
const maxSecret = 64 << 10

// A SecretFile is the path of a file that holds a secret; secrets themselves
// never stand in a configuration. Empty means none.
type SecretFile string

// Read returns what the file holds. It refuses a file that anybody but its
// owner can read.
func (f SecretFile) Read() ([]byte, error) {
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSecret {
		return nil, fmt.Errorf("%s is longer than %d bytes", f, maxSecret)
	}
	return b, nil
}

// check reports what keeps the file from being read, without reading it.
func (f SecretFile) check() error {
	if f == "" {
		return nil
	}
	file, err := f.open()
	if err != nil {
		return err
	}
	return file.Close()
}

// open opens the file and then asks about the open file, so that nobody can
// put another in its place in between.
func (f SecretFile) open() (*os.File, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	if !info.Mode().IsRegular() {
		file.Close()
		return nil, fmt.Errorf("%s is not a regular file", f)
	}
	if info.Mode().Perm()&0o077 != 0 {
		file.Close()
		return nil, fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %s", f, info.Mode().Perm(), f)
	}
	return file, nil
}
