package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// exported asks a whole node for its metrics and returns the names of every
// family, by HELP lines, with their types.
func exported(t *testing.T) map[string]string {
	t.Helper()
	r := settleNode(t, "one", nil)
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
	resp, err := http.Get("http://" + r.web.Listening().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", resp.Status, err, body)
	}
	names := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(strings.TrimSpace(rest), " ")
			names[name] = kind
		}
	}
	return names
}

// documented reads the table of metrics in OPERATIONS.md: the type of each
// name, and whether it comes only once something has happened.
func documented(t *testing.T) (kinds map[string]string, later map[string]bool) {
	t.Helper()
	f, err := os.Open("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kinds, later = map[string]string{}, map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	row := regexp.MustCompile("^\\| `(drey_[a-z0-9_]+)(?:\\{[a-z, ]+\\})?` \\| (gauge|counter)(, later)? \\| (.+) \\|$")
	for lines.Scan() {
		m := row.FindStringSubmatch(lines.Text())
		if m == nil {
			if strings.HasPrefix(lines.Text(), "| `drey_") {
				t.Errorf("a row that cannot be read: %s", lines.Text())
			}
			continue
		}
		if _, twice := kinds[m[1]]; twice {
			t.Errorf("%s is documented twice", m[1])
		}
		kinds[m[1]], later[m[1]] = m[2], m[3] != ""
	}
	return kinds, later
}

// TestMetricsAreDocumented compares what a running node exports with the table
// in OPERATIONS.md.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	have := exported(t)
	want, later := documented(t)
	for name, kind := range have {
		if strings.HasPrefix(name, "drey_") && want[name] != kind {
			t.Errorf("%s (%s) is documented as %q", name, kind, want[name])
		}
		if strings.HasSuffix(name, "_total") != (kind == "counter") && strings.HasPrefix(name, "drey_") {
			t.Errorf("%s is a %s", name, kind)
		}
	}
	for name := range want {
		if have[name] == "" && !later[name] {
			t.Errorf("%s is documented and not exported", name)
		}
	}
	if len(want) < 20 {
		t.Errorf("the table has %d rows", len(want))
	}
}

// TestDashboardAsksForWhatThereIs reads every query of the Grafana dashboard:
// each name must be one that a node exports, with labels that it has.
func TestDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../packaging/grafana/drey.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
			GridPos struct{ X, Y, W, H int }
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	have := exported(t)
	want, _ := documented(t)
	known := func(name string) bool { return have[name] != "" || want[name] != "" }
	queries := map[string]string{}
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			queries[q.Expr] = p.Title
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s is wider than a dashboard", p.Title)
		}
	}
	for _, v := range board.Templating.List {
		if q, ok := v.Query.(map[string]any); ok {
			queries[q["query"].(string)] = "variable " + v.Name
		}
	}
	if len(queries) < 20 {
		t.Errorf("the dashboard has %d queries", len(queries))
	}
	asked := 0
	for q, title := range queries {
		names, err := metricNames(q)
		if err != nil || len(names) == 0 {
			t.Errorf("%s: %s: %v, names %v", title, q, err, names)
		}
		for _, name := range names {
			asked++
			if !known(name) {
				t.Errorf("%s asks for %s, which no node exports", title, name)
			}
			if strings.Contains(q, "rate("+name) && !strings.HasSuffix(name, "_total") {
				t.Errorf("%s takes the rate of %s, which is no counter", title, name)
			}
		}
	}
	if asked < 20 {
		t.Errorf("%d names are asked for", asked)
	}
}

// TestMetricNames holds the reader of queries to what PromQL looks like.
func TestMetricNames(t *testing.T) {
	for q, want := range map[string][]string{
		`drey_x`: {"drey_x"},
		`sum by (instance, reason) (rate(drey_refused_total{instance=~"$instance", a="b(c)"}[5m])) * 60`: {"drey_refused_total"},
		`a_total / ignoring(x) group_left b_total > 0 or vector(1)`:                                      {"a_total", "b_total"},
		`label_values(drey_store_events, instance)`:                                                      {"drey_store_events"},
		`histogram_quantile(0.95, sum(rate(h_bucket[1h])) by (le))`:                                      {"h_bucket"},
	} {
		got, err := metricNames(q)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s names %v, %v, want %v", q, got, err, want)
		}
	}
	for _, q := range []string{`sum(a`, `a{b="c}`, `a)`, `a{b="c"`} {
		if got, err := metricNames(q); err == nil {
			t.Errorf("%s is taken, with %v", q, got)
		}
	}
}
