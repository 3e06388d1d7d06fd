package logparse

import "testing"

func FuzzAmavis(f *testing.F) { fuzzFormat(f, "amavis") }
