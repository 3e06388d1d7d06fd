package config

import "testing"

func TestLocationOf(t *testing.T) {
	c := Config{TimeZone: "UTC", TimeZones: map[string]string{"/var/log/mx*": "Europe/Zurich", "/var/log/mx-ny": "America/New_York", "gateway.log": "Asia/Tokyo"}}
	for path, want := range map[string]string{
		"/var/log/mx1":             "Europe/Zurich",
		"/var/log/mx1.2.gz":        "Europe/Zurich",
		"/var/log/mx-ny":           "America/New_York",
		"/var/log/mx-ny-20261123":  "America/New_York",
		"/srv/gateway.log":         "Asia/Tokyo",
		"gateway.log.1":            "Asia/Tokyo",
		"/var/log/other/mx1":       "UTC",
		"/srv/not-the-gateway.log": "UTC",
	} {
		if got := c.LocationOf(path).String(); got != want {
			t.Errorf("%s is in %s, want %s", path, got, want)
		}
	}
	for _, wrong := range []map[string]string{{"a[": "UTC"}, {"a": "Europe/Nowhere"}} {
		if err := (Config{TimeZones: wrong}).checkTimeZones(); err == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}
