//go:build !linux

package main

import (
	"context"
	"errors"
)

var errLinuxOnly = errors.New("demo --live needs Linux, whose namespaces keep its mail server apart: mailwhy demo runs everywhere")

func (s *session) inNamespaces(context.Context, string) error { return errLinuxOnly }

func enterNamespaces(string) (string, error) { return "", errLinuxOnly }
