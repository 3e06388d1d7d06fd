package logparse

import "testing"

func FuzzRspamd(f *testing.F) { fuzzFormat(f, "rspamd") }
