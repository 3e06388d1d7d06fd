package logparse

import "testing"

func FuzzKumoMTA(f *testing.F) { fuzzFormat(f, "kumomta") }
