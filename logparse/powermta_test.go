package logparse

import "testing"

func FuzzPowerMTA(f *testing.F) { fuzzFormat(f, "powermta") }
