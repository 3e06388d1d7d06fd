package main

import (
	"testing"
	"time"
)

func TestMoveDays(t *testing.T) {
	now := time.Date(2030, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, c := range [][2]string{
		{"datetime=2026-11-20T23:59:00+0000|Rcpt=b\ndatetime=2026-11-21T06:00:00+0000|Rcpt=b", "datetime=2030-02-28T23:59:00+0000|Rcpt=b\ndatetime=2030-03-01T06:00:00+0000|Rcpt=b"},
		{`{"at":"2026-11-21"}`, `{"at":"2030-03-01"}`},
		{"Nov  9 09:14:03 mx1 a\nNov 10 09:14:03 mx1 b", "Feb 28 09:14:03 mx1 a\nMar  1 09:14:03 mx1 b"},
		{`{"timestamp":1795253643000}`, `{"timestamp":1898588043000}`},
		{"no stamp at all", "no stamp at all"},
	} {
		if got := string(moveDays([]byte(c[0]), now)); got != c[1] {
			t.Errorf("%s\nbecame %s\nwant   %s", c[0], got, c[1])
		}
	}
}
