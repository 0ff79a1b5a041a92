package pool

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"drey/nostrbridge/pool/badrelay"
)

func TestTest(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    badrelay.Behaviour
		want string
	}{
		{"good", badrelay.Behaviour{}, "websocket ok, about ok, write ok, sign in none, read ok, sync none"},
		{"syncs", badrelay.Behaviour{Sync: badrelay.SyncHonest}, "websocket ok, about ok, write ok, sign in none, read ok, sync ok"},
		{"hides", badrelay.Behaviour{Sync: badrelay.SyncHides}, "websocket ok, about ok, write ok, sign in none, read ok, sync failed"},
		{"silent", badrelay.Behaviour{Sync: badrelay.SyncSilent}, "websocket ok, about ok, write ok, sign in none, read ok, sync failed"},
		{"asks", badrelay.Behaviour{SignIn: true}, "websocket ok, about ok, write ok, sign in ok, read ok, sync none"},
		{"accepts nobody", badrelay.Behaviour{SignIn: true, SignInNo: true}, "websocket ok, about ok, write failed, sign in failed"},
		{"keeps nothing", badrelay.Behaviour{LieOK: true}, "websocket ok, about ok, write ok, sign in none, read failed"},
		{"drops", badrelay.Behaviour{Drop: 1}, "websocket ok, about ok, write failed, sign in none"},
		{"mute", badrelay.Behaviour{Mute: true}, "websocket ok, about ok, write failed, sign in none"},
		{"says nothing of itself", badrelay.Behaviour{Info: "<html>"}, "websocket ok, about none, write ok, sign in none, read ok, sync none"},
		{"away", badrelay.Behaviour{Away: true}, "websocket failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				r := w.relay("r.example", tt.b)
				w.start()
				steps, err := w.pool.Test(w.ctx, r.URL)
				if err != nil {
					w.Fatal(err)
				}
				var got []string
				for _, s := range steps {
					got = append(got, s.Name+" "+string(s.Result))
					if s.Says == "" && s.Name != "websocket" {
						w.Errorf("%s says nothing", s.Name)
					}
				}
				if g := strings.Join(got, ", "); g != tt.want {
					w.Errorf("steps %s\nwant  %s\n%v", g, tt.want, steps)
				}
				w.sleep(2 * time.Second)
				if n := r.Counts().Open; n != 0 || len(w.pool.Relays()) != 0 {
					w.Errorf("%d connections stay, and the list is %v", n, w.pool.Relays())
				}
			})
		})
	}
	if _, err := New(Config{Log: discard, Clock: time.Now}).Test(t.Context(), "mailto:x"); err == nil {
		t.Error("what is no address was tested")
	}
}

// Over real sockets the steps below the websocket show, too.
func TestTestOverSockets(t *testing.T) {
	p := New(Config{Log: discard, Clock: time.Now})
	steps, err := p.Test(t.Context(), "ws://127.0.0.1:1")
	if err != nil || len(steps) != 1 || steps[0].Name != "connect" || steps[0].Result != Fails || !strings.Contains(steps[0].Says, "refused") {
		t.Errorf("a closed port: %v, %v", steps, err)
	}
	r := badrelay.Serve(listen(t), badrelay.Behaviour{})
	defer r.Close()
	steps, err = p.Test(t.Context(), r.URL)
	if err != nil || len(steps) < 3 || fmt.Sprint(steps[0].Name, steps[1].Name, steps[2].Name) != "connect"+"websocket"+"about" || steps[0].Took <= 0 {
		t.Errorf("%v, %v", steps, err)
	}
}
