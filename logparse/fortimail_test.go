package logparse

import "testing"

func FuzzFortiMail(f *testing.F) { fuzzFormat(f, "fortimail") }
