package app

import (
	"fmt"
	"os"

	"mailwhy/logparse"
)

// Formats reads the files that describe log formats. An error is "file:line:
// sentence", or says which file could not be read.
func Formats(files []string) ([]*logparse.UserFormat, error) {
	var list []*logparse.UserFormat
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read format: %w", err)
		}
		u, err := logparse.ReadUserFormat(file, data)
		if err != nil {
			return nil, err
		}
		for _, other := range list {
			if other.Name() == u.Name() {
				return nil, fmt.Errorf("%s:1: the format %s is described twice: give one of them another name", file, u.Name())
			}
		}
		list = append(list, u)
	}
	return list, nil
}
