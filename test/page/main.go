// Command page takes the pictures of docs/img anew: pages of shoal simulate in a
// real Chromium, as a person sees them. Its tests hold the page to what the
// documents say of it, in the same browser.
//
// It guarantees that no browser is left behind, and that none reaches a network.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image/png"
	"os"
	"path/filepath"

	"github.com/go-rod/rod/lib/proto"
)

func main() {
	compared := flag.String("simulate", "", "a page of simulate")
	tuned := flag.String("tune", "", "a page of tune")
	to := flag.String("to", "docs/img", "the directory for the pictures")
	flag.Parse()
	if err := pictures(*compared, *tuned, *to); err != nil {
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

// picture is one of the documents': what is done first, on which screen.
type picture struct {
	name  string
	tuned bool // of the page of tune
	on    screen
	first func(t *tab) error
}

var documents = []picture{
	{"page-light", false, screen{width: 1120, height: 1000}, nil},
	{"page-dark", false, screen{width: 1120, height: 1000, dark: true}, nil},
	{"page-zoomed", false, screen{width: 1120, height: 900}, zoomed},
	{"page-phone", false, screen{width: 390, height: 844, phone: true, dark: true}, overTime},
	{"page-tune", true, screen{width: 1120, height: 1060}, nil},
}

// zoomed shows two policies in one burst, and the pointer on it.
func zoomed(t *tab) error {
	if _, err := t.Eval(`() => { for (const c of document.querySelectorAll(".chip")) if (!["shoal", "original"].includes(c.textContent.trim())) c.click(); }`); err != nil {
		return err
	}
	at, size, err := t.box("c-busy")
	if err != nil {
		return err
	}
	middle := at.Y + size.Y/2
	if err := t.drag(point{at.X + size.X*0.834, middle}, point{at.X + size.X*0.858, middle}); err != nil {
		return err
	}
	return t.move(point{at.X + size.X*0.46, middle})
}

func overTime(t *tab) error {
	_, err := t.Eval(`() => document.querySelector("#h-time").scrollIntoView({ behavior: "instant" })`)
	return err
}

// pictures takes each.
func pictures(compared, tuned, to string) error {
	b, err := start(context.Background())
	if err != nil {
		return err
	}
	defer b.stop()
	for _, p := range documents {
		page := compared
		if p.tuned {
			page = tuned
		}
		text, err := b.picture(page, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := os.WriteFile(filepath.Join(to, p.name+".png"), text, 0o644); err != nil { //nolint:gosec // a picture
			return err
		}
	}
	return nil
}

func (b *browser) picture(page string, p picture) ([]byte, error) {
	t, err := b.open(page, p.on)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.Close() }()
	if p.first != nil {
		if err := p.first(t); err != nil {
			return nil, err
		}
	}
	if err := t.settled(); err != nil {
		return nil, err
	}
	text, err := t.Screenshot(false, &proto.PageCaptureScreenshot{Format: proto.PageCaptureScreenshotFormatPng})
	if err != nil {
		return nil, err
	}
	return smaller(text)
}

// smaller is the same picture, packed as well as can be: the browser is in a hurry.
func smaller(text []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img)
	return out.Bytes(), err
}
