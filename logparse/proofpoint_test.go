package logparse

import "testing"

func FuzzProofpoint(f *testing.F) { fuzzFormat(f, "proofpoint-pod") }
