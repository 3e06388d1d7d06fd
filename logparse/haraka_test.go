package logparse

import "testing"

func FuzzHaraka(f *testing.F) { fuzzFormat(f, "haraka") }
