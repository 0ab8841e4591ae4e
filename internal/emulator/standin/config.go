package standin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// configuration is the part of config.toml that changes what the stand-in does.
// Unknown keys are ignored, as the real runner ignores them.
type configuration struct {
	Concurrent      int       `toml:"concurrent"`
	CheckInterval   int       `toml:"check_interval"`   // seconds; 0 means 3
	ShutdownTimeout int       `toml:"shutdown_timeout"` // seconds; 0 means 30
	ListenAddress   string    `toml:"listen_address"`
	Sections        []section `toml:"runners"`

	modified time.Time // of the file; a newer one is loaded
	systemID string
}

// section is one [[runners]] table.
type section struct {
	Name               string   `toml:"name"`
	URL                string   `toml:"url"`
	Token              string   `toml:"token"`
	Executor           string   `toml:"executor"`
	Limit              int      `toml:"limit"` // 0 means none
	RequestConcurrency int      `toml:"request_concurrency"`
	BuildsDir          string   `toml:"builds_dir"`
	Environment        []string `toml:"environment"`
	PreBuildScript     string   `toml:"pre_build_script"`
	PostBuildScript    string   `toml:"post_build_script"`
	CAFile             string   `toml:"tls-ca-file"`
	StrictInterval     bool     `toml:"strict_check_interval"`
	UnhealthyRequests  int      `toml:"unhealthy_requests_limit"` // 0 means 3
	UnhealthyInterval  string   `toml:"unhealthy_interval"`       // empty means 1 h
}

const (
	// defaultCheckInterval is what check_interval = 0 means.
	defaultCheckInterval = 3
	// defaultShutdownTimeout is what shutdown_timeout = 0 means, in seconds.
	defaultShutdownTimeout = 30
	// defaultUnhealthyRequests is how many refused polls disable a runner.
	defaultUnhealthyRequests = 3
	// defaultUnhealthyInterval is how long it then stays disabled.
	defaultUnhealthyInterval = time.Hour
	// maxConfig bounds what is read of config.toml.
	maxConfig = 4 << 20
)

// loadConfiguration reads config.toml and the system id beside it.
func loadConfiguration(path string) (*configuration, error) {
	data, modified, err := readConfigFile(path)
	if err != nil {
		return nil, err
	}
	c := &configuration{Concurrent: 1, modified: modified}
	if err := toml.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("decode configuration %s: %w", path, err)
	}
	if c.systemID, err = systemID(filepath.Join(filepath.Dir(path), ".runner_system_id")); err != nil {
		return nil, err
	}
	return c, nil
}

func readConfigFile(path string) ([]byte, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("load configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("load configuration: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxConfig))
	return data, info.ModTime(), err
}

var systemIDForm = regexp.MustCompile(`^[sr]_[0-9a-zA-Z]{12}$`)

// systemID reads the id that tells this machine from the others that share a
// token, and makes one where there is none that GitLab would take.
func systemID(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read system id: %w", err)
	}
	if id := strings.TrimSpace(string(data)); systemIDForm.MatchString(id) {
		return id, nil
	}
	raw := make([]byte, 6)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("make system id: %w", err)
	}
	id := fmt.Sprintf("r_%x", raw)
	if err := os.WriteFile(path, []byte(id), 0o600); err != nil {
		return "", fmt.Errorf("write system id: %w", err)
	}
	return id, nil
}

func (c *configuration) checkInterval(second time.Duration) time.Duration {
	n := c.CheckInterval
	if n <= 0 {
		n = defaultCheckInterval
	}
	return time.Duration(n) * second
}

func (c *configuration) shutdownTimeout(second time.Duration) time.Duration {
	n := c.ShutdownTimeout
	if n <= 0 {
		n = defaultShutdownTimeout
	}
	return time.Duration(n) * second
}

func (s section) requestConcurrency() int { return max(1, s.RequestConcurrency) }

func (s section) unhealthyRequests() int {
	if s.UnhealthyRequests > 0 {
		return s.UnhealthyRequests
	}
	return defaultUnhealthyRequests
}

func (s section) unhealthyInterval() time.Duration {
	if d, err := time.ParseDuration(s.UnhealthyInterval); err == nil && d > 0 {
		return d
	}
	return defaultUnhealthyInterval
}
