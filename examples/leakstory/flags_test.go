package main

import (
	"bytes"
	"flag"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlags(t *testing.T) {
	opts, err := parseFlags(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, options{defaultPlan, "leakstory.html"}, opts)

	out := filepath.Join(t.TempDir(), "story.html")
	opts, err = parseFlags([]string{"-full", "-rounds", "9", "-lost", "25%", "-out", out}, io.Discard)
	require.NoError(t, err)
	want := fullPlan
	want.Rounds, want.Lost = 9, 0.25
	require.Equal(t, options{want, out}, opts)

	opts, err = parseFlags([]string{"-quick", "-lost", "0"}, io.Discard)
	require.NoError(t, err)
	want = quickPlan
	want.Lost = 0
	require.Equal(t, want, opts.plan)
}

func TestFlagsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-rounds", "3"}, `-rounds "3": want 8 or more`},
		{[]string{"-rounds", "0"}, `-rounds "0": want 8 or more`},
		{[]string{"-rounds", "many"}, `invalid value "many" for flag -rounds`},
		{[]string{"-lost", "101%"}, `-lost "101%": want a share from 0 to 1`},
		{[]string{"-lost", "50"}, `-lost "50": want`},
		{[]string{"-lost", "-0.1"}, `-lost "-0.1": want`},
		{[]string{"-lost", "NaN"}, `-lost "NaN": want`},
		{[]string{"-lost", ""}, `-lost "": want`},
		{[]string{"-out", ""}, `-out "": want a file in a directory that exists`},
		{[]string{"-out", dir}, `-out "`},
		{[]string{"-out", filepath.Join(dir, "none", "a.html")}, `-out "`},
		{[]string{"-full", "-quick"}, "-full with -quick: want one of the two"},
		{[]string{"quick"}, `argument "quick": want flags only`},
		{[]string{"-slow"}, "flag provided but not defined: -slow"},
	} {
		_, err := parseFlags(c.args, io.Discard)
		require.ErrorContains(t, err, "leakstory: ")
		require.ErrorContains(t, err, c.want)
	}
}

func TestHelp(t *testing.T) {
	var usage bytes.Buffer
	_, err := parseFlags([]string{"-h"}, &usage)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, usage.String(), "-lost share")
}
