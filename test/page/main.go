// Command page takes the pictures of docs/img anew: the page of shoal simulate in
// a real Chromium, as a person sees it. Its tests hold the page to what
// docs/tuning.md says of it, in the same browser.
//
// It guarantees that no browser is left behind, and that none reaches a network.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-rod/rod/lib/proto"
)

func main() {
	to := flag.String("to", "docs/img", "the directory for the pictures")
	flag.Parse()
	if err := pictures(*to, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(1)
	}
}

// screens are what a page is looked at on.
var screens = []screen{
	{name: "light", width: 1280, height: 900},
	{name: "dark", width: 1280, height: 900, dark: true},
	{name: "phone", width: 390, height: 844, phone: true, scale: 2},
	{name: "phone-dark", width: 390, height: 844, phone: true, dark: true, scale: 2},
}

// pictures takes a picture of each page on each screen.
func pictures(to string, files []string) error {
	b, err := start(context.Background())
	if err != nil {
		return err
	}
	defer b.stop()
	for _, file := range files {
		for _, s := range screens {
			t, err := b.open(file, s)
			if err != nil {
				return err
			}
			shot, err := t.Screenshot(true, &proto.PageCaptureScreenshot{Format: proto.PageCaptureScreenshotFormatPng})
			if err != nil {
				return err
			}
			name := strings.TrimSuffix(filepath.Base(file), ".html") + "-" + s.name + ".png"
			if err := os.WriteFile(filepath.Join(to, name), shot, 0o644); err != nil { //nolint:gosec // a picture
				return err
			}
			problems, _ := t.heard()
			for _, p := range problems {
				fmt.Fprintln(os.Stderr, name+":", p)
			}
			_ = t.Close()
		}
	}
	return nil
}
