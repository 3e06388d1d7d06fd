package logparse

import "testing"

func FuzzCisco(f *testing.F) { fuzzFormat(f, "cisco-esa") }
