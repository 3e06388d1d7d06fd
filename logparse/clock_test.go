package logparse

import (
	"testing"
	"time"
)

func TestYearlessStamps(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tests := []struct {
		name     string
		modTime  string
		location *time.Location
		stamps   []string
		want     []string
	}{
		{"the newest year that is not in the future", "2026-11-23T12:00:00Z", nil, []string{"Nov 23 11:59:00", "Nov 23 12:00:30"}, []string{"2026-11-23T11:59:00Z", "2026-11-23T12:00:30Z"}},
		{"a later day is of last year", "2026-11-23T12:00:00Z", nil, []string{"Nov 25 11:59:00"}, []string{"2025-11-25T11:59:00Z"}},
		{"a writer whose zone is ahead", "2026-11-23T23:00:00Z", nil, []string{"Nov 24 08:00:00"}, []string{"2026-11-24T08:00:00Z"}},
		{"new year in the file", "2026-01-05T00:00:00Z", nil, []string{"Dec 31 23:59:59", "Jan  1 00:00:00"}, []string{"2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"}},
		{"new year after it was opened", "2026-11-23T00:00:00Z", nil, []string{"Nov 22 00:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00"}, []string{"2026-11-22T00:00:00Z", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"}},
		{"a late line of last year", "2026-01-05T00:00:00Z", nil, []string{"Dec 31 23:59:59", "Jan  1 00:00:01", "Dec 31 23:59:58", "Jan  1 00:00:02"}, []string{"2025-12-31T23:59:59Z", "2026-01-01T00:00:01Z", "2025-12-31T23:59:58Z", "2026-01-01T00:00:02Z"}},
		{"the clock steps back a week", "2026-11-23T12:00:00Z", nil, []string{"Nov 20 10:00:00", "Nov 13 10:00:00", "Nov 20 10:00:01"}, []string{"2026-11-20T10:00:00Z", "2026-11-13T10:00:00Z", "2026-11-20T10:00:01Z"}},
		{"an unsorted file does not run ahead of its last write", "2026-11-23T12:00:00Z", nil, []string{"Nov 20 10:00:00", "Mar  1 10:00:00", "Jun  1 10:00:00"}, []string{"2026-11-20T10:00:00Z", "2026-03-01T10:00:00Z", "2026-06-01T10:00:00Z"}},
		{"a leap day", "2026-11-23T12:00:00Z", nil, []string{"Feb 29 10:00:00", "Mar  1 10:00:00"}, []string{"2024-02-29T10:00:00Z", "2024-03-01T10:00:00Z"}},
		{"a leap day after days of any year", "2026-11-23T12:00:00Z", nil, []string{"Feb 28 23:59:59", "Feb 29 10:00:00", "Mar  1 10:00:00"}, []string{"2026-02-28T23:59:59Z", "2024-02-29T10:00:00Z", "2024-03-01T10:00:00Z"}},
		{"a leap day in the year that was written", "2024-03-01T12:00:00Z", nil, []string{"Feb 28 23:59:59", "Feb 29 00:00:00", "Mar  1 10:00:00"}, []string{"2024-02-28T23:59:59Z", "2024-02-29T00:00:00Z", "2024-03-01T10:00:00Z"}},
		{"months of other locales", "2026-11-23T12:00:00Z", nil, []string{"Mai  4 10:00:00", "ago 5 10:00:00", "Okt  6 10:00:00", "ott  7 10:00:00"}, []string{"2026-05-04T10:00:00Z", "2026-08-05T10:00:00Z", "2026-10-06T10:00:00Z", "2026-10-07T10:00:00Z"}},
		{"with a fraction", "2026-11-23T12:00:00Z", nil, []string{"Nov 23 08:35:54.5"}, []string{"2026-11-23T08:35:54.5Z"}},
		{"daylight saving ends", "2026-11-23T12:00:00Z", berlin, []string{"Oct 25 01:30:00", "Oct 25 03:30:00"}, []string{"2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z"}},
		{"nothing is known of the file", "", nil, []string{"Nov 23 11:59:00", "Jan  1 00:00:00"}, []string{"1970-11-23T11:59:00Z", "1971-01-01T00:00:00Z"}},
		{"a day without its space, and with a year", "2026-11-23T12:00:00Z", nil, []string{"Nov 3 11:59:00", "Nov 23 2025 11:59:00", "Mär  4 10:00:00"}, []string{"2026-11-03T11:59:00Z", "2025-11-23T11:59:00Z", "2026-03-04T10:00:00Z"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var modTime time.Time
			if test.modTime != "" {
				modTime = at(test.modTime)
			}
			c := newClock(modTime, test.location)
			for i, stamp := range test.stamps {
				ms, _, ok := c.stamp([]byte(stamp + " mx1 "))
				if got := unixTime(ms); !ok || !got.Equal(at(test.want[i])) {
					t.Errorf("stamp %d, %q, is %s, want %s", i, stamp, got, test.want[i])
				}
			}
		})
	}
}

func TestFullStamps(t *testing.T) {
	tests := []struct{ stamp, want string }{
		{"2026-11-23T08:35:54Z", "2026-11-23T08:35:54Z"},
		{"2026-11-23T08:35:54.985222+01:00", "2026-11-23T07:35:54.985Z"},
		{"2026-11-23T08:35:54,9-0530", "2026-11-23T14:05:54.9Z"},
		{"2026-11-23 08:35:54", "2026-11-23T08:35:54Z"},
		{"Mon 2026-11-23 08:35:54 UTC", "2026-11-23T08:35:54Z"},
		{"1764000000.250000 mx1", "2025-11-24T16:00:00.25Z"},
		{"2026-13-23 08:35:54", ""},
		{"2026-11-23 25:35:54", ""},
		{"Nov 33 08:35:54", ""},
		{"Nov 23 08:35", ""},
		{"Nix 23 08:35:54", ""},
	}
	for _, test := range tests {
		c := newClock(time.Time{}, nil)
		ms, _, ok := c.stamp([]byte(test.stamp))
		if test.want == "" {
			if ok {
				t.Errorf("%q is read as %s", test.stamp, unixTime(ms))
			}
			continue
		}
		if got := unixTime(ms).Format(time.RFC3339Nano); !ok || got != test.want {
			t.Errorf("%q is %s, want %s", test.stamp, got, test.want)
		}
	}
}
