package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/history"
)

// tellEvery is how often somebody who reads a log hears of an export.
const tellEvery = time.Minute

// teller says on stderr how an export goes: on a terminal in one line that is drawn
// anew, below what is logged; in a log by a line a minute.
type teller struct {
	to       io.Writer
	terminal bool
	log      *slog.Logger
	began    time.Time

	mu    sync.Mutex
	told  time.Time
	drawn bool
}

func newTeller(to io.Writer, l config.Log) *teller {
	t := &teller{to: to, terminal: isTerminal(to), began: time.Now()}
	t.told = t.began
	format := l.Format
	if t.terminal && format == "auto" {
		format = "text" // the logger does not see through to the terminal
	}
	t.log = newLogger(t, l.Level, format)
	return t
}

// Write implements io.Writer, for the log: the line that is drawn makes room.
func (t *teller) Write(p []byte) (int, error) {
	t.end()
	return t.to.Write(p)
}

// end wipes the line that is drawn.
func (t *teller) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.drawn {
		fmt.Fprint(t.to, "\r\x1b[K")
		t.drawn = false
	}
}

func (t *teller) progress(p history.Progress) {
	now := time.Now()
	if !t.terminal {
		if now.Sub(t.told) >= tellEvery {
			t.told = now
			t.log.Info("exporting", "jobs", p.Jobs, "pages", p.Pages, "project", p.Project, "projects", p.Projects, "at", p.At)
		}
		return
	}
	if now.Sub(t.began) < progressAfter || now.Sub(t.told) < progressEvery && p.Waiting == 0 {
		return
	}
	t.told = now
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprint(t.to, "\r\x1b[K"+exportLine(p, t.width()))
	t.drawn = true
}

// width is how wide the terminal is.
func (t *teller) width() int {
	if f, ok := t.to.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// exportLine is the progress in one line, of fewer characters than the terminal has: a
// longer one could not be wiped.
func exportLine(p history.Progress, most int) string {
	const width = 20
	full := int(p.Share * width)
	line := fmt.Sprintf("[%s%s] %d jobs, %d pages", strings.Repeat("#", full), strings.Repeat(".", width-full), p.Jobs, p.Pages)
	if p.Projects > 1 {
		line += fmt.Sprintf(", project %d of %d", p.Project, p.Projects)
	}
	if !p.At.IsZero() {
		line += ", back to " + p.At.Format("2006-01-02 15:04")
	}
	if p.Waiting > 0 {
		line += fmt.Sprintf(", waiting %s", p.Waiting.Round(time.Second))
	}
	return line[:min(len(line), most-1)]
}
