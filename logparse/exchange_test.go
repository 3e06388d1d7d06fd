package logparse

import "testing"

func FuzzExchange(f *testing.F) { fuzzFormat(f, "exchange-tracking") }
