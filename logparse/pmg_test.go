package logparse

import "testing"

func FuzzPMG(f *testing.F) { fuzzFormat(f, "pmg") }
