package app

import (
	"context"
	"slices"
	"testing"
)

func TestPresence(t *testing.T) {
	var all presence
	anna, olaf := onlooker{&all, "anna"}, onlooker{&all, "olaf"}
	leave := anna.Look(t.Context(), "m1")
	again := anna.Look(t.Context(), "m1") // in a second session
	if got := anna.Others("m1"); len(got) != 0 {
		t.Errorf("anna sees herself: %v", got)
	}
	if got := olaf.Others("m1"); !slices.Equal(got, []string{"anna"}) {
		t.Errorf("olaf sees %v", got)
	}
	leave()
	leave()
	if got := olaf.Others("m1"); !slices.Equal(got, []string{"anna"}) {
		t.Errorf("after one of two sessions left: %v", got)
	}
	again()
	if got := olaf.Others("m1"); len(got) != 0 {
		t.Errorf("after both left: %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	anna.Look(ctx, "m2")
	cancel() // her session was killed
	for len(olaf.Others("m2")) > 0 {
		if t.Context().Err() != nil {
			t.Fatal("a killed session looks on")
		}
	}
	if len(all.views) != 0 {
		t.Errorf("views are kept: %v", all.views)
	}
}
