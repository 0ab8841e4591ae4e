package main

import (
	"errors"

	"github.com/go-rod/rod/lib/proto"
)

// point is a place on the screen, in CSS pixels.
type point struct{ X, Y float64 }

// box scrolls a chart into sight and tells where its drawing area is.
func (t *tab) box(id string) (at, size point, err error) {
	got, err := t.Eval(`(id) => {
		const e = document.querySelector("#" + id + " .u-over");
		e.scrollIntoView({ block: "center", behavior: "instant" });
		const r = e.getBoundingClientRect();
		return [r.x, r.y, r.width, r.height];
	}`, id)
	if err != nil {
		return point{}, point{}, err
	}
	n := got.Value.Arr()
	if len(n) != 4 {
		return point{}, point{}, errors.New("no chart " + id)
	}
	return point{n[0].Num(), n[1].Num()}, point{n[2].Num(), n[3].Num()}, t.settled()
}

// mouse sends one thing that a mouse does.
func (t *tab) mouse(what proto.InputDispatchMouseEventType, at point, down bool, clicks int) error {
	e := proto.InputDispatchMouseEvent{Type: what, X: at.X, Y: at.Y, ClickCount: clicks}
	if down {
		left := 1
		e.Button, e.Buttons = proto.InputMouseButtonLeft, &left
	}
	return e.Call(t)
}

func (t *tab) move(to point) error {
	return errors.Join(t.mouse(proto.InputDispatchMouseEventTypeMouseMoved, to, false, 0), t.settled())
}

func (t *tab) drag(from, to point) error {
	const steps = 5
	err := errors.Join(t.move(from), t.mouse(proto.InputDispatchMouseEventTypeMousePressed, from, true, 1))
	for n := 1.0; n <= steps; n++ {
		at := point{from.X + (to.X-from.X)*n/steps, from.Y + (to.Y-from.Y)*n/steps}
		err = errors.Join(err, t.mouse(proto.InputDispatchMouseEventTypeMouseMoved, at, true, 0))
	}
	return errors.Join(err, t.mouse(proto.InputDispatchMouseEventTypeMouseReleased, to, true, 1), t.settled())
}
