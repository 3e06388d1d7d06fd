package main

import (
	"context"
	"errors"
	"testing"
)

func TestOneFailingWorkerEndsTheOthers(t *testing.T) {
	broken := errors.New("no port")
	ended := make(chan struct{})
	err := work(t.Context(), []worker{
		{"milter", func(context.Context) error { return broken }},
		{"ssh", func(ctx context.Context) error { <-ctx.Done(); close(ended); return nil }},
	})
	<-ended
	if !errors.Is(err, broken) || err.Error() != "milter: no port" {
		t.Errorf("got %v", err)
	}
}
