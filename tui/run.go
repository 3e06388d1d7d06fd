package tui

import (
	"context"
	"io"
)

// Run shows the program on a terminal until the user quits or ctx ends.
func Run(ctx context.Context, o Options, in io.Reader, out io.Writer) error { return nil }
