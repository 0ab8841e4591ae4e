package autoscaling

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// maxAnswer bounds one answer. A group of 500 instances takes about 400 KB;
// whatever sends more than this is not Auto Scaling.
const maxAnswer = 8 << 20

// strict is an HTTP client that lets only bounded answers of Auto Scaling's form
// through. The SDK takes an empty 200 for an empty result, and any 200 at all
// for the success of an operation without a result: a proxy's login page would
// complete hooks and make groups vanish.
type strict struct{ next aws.HTTPClient }

// Do sends the request and reads the whole answer.
func (s strict) Do(req *http.Request) (*http.Response, error) {
	resp, err := s.next.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := readAll(resp.Body)
	if err == nil && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		err = checkAnswer(body)
	}
	if err != nil {
		return nil, fmt.Errorf("read answer (HTTP %d): %w", resp.StatusCode, err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func readAll(body io.ReadCloser) ([]byte, error) {
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("longer than %d bytes", maxAnswer)
	}
	return b, nil
}

// checkAnswer tells whether body begins as a success of Auto Scaling's does:
// with an element named after the operation, such as SetDesiredCapacityResponse.
func checkAnswer(body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return errors.New("the body is empty")
		}
		if err != nil {
			return fmt.Errorf("not XML: %w", err)
		}
		if start, ok := token.(xml.StartElement); ok {
			return checkRoot(start.Name.Local)
		}
	}
}

func checkRoot(name string) error {
	if !strings.HasSuffix(name, "Response") || name == "ErrorResponse" {
		return fmt.Errorf("not an answer of Auto Scaling: root element is %q", bounded(name))
	}
	return nil
}
