// Package quiet keeps the libraries below the terminal program from asking the
// terminal anything at start.
//
// bubbletea v1 asks for the background colour in a package init and waits five
// seconds on a terminal that does not answer; a value set in a later init comes
// too late. The colour library asks nothing when it believes to run under CI,
// so this package's init says so. It imports os alone and its path sorts
// before os/signal, which bubbletea needs: Go initialises packages by path
// once their imports are ready, so this init runs first.
//
//	import "mailwhy/tui/quiet"
//
//	func main() {
//		quiet.Restore() // first line: children and the rest see the environment as it was
//		...
//	}
//
// It must not import anything but os.
package quiet

import "os"

// variable is the one that termenv reads before it believes in a terminal.
const variable = "CI"

// before and wasSet are written by the variable initialiser alone.
var before, wasSet = mute()

func mute() (string, bool) {
	value, ok := os.LookupEnv(variable)
	if value == "" {
		_ = os.Setenv(variable, "1")
	}
	return value, ok
}

// Restore puts the environment back as the process found it.
func Restore() {
	if wasSet {
		_ = os.Setenv(variable, before)
		return
	}
	_ = os.Unsetenv(variable)
}
