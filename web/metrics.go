package web

import (
	"context"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeFor bounds how long the node may take to tell its figures.
const scrapeFor = 5 * time.Second

// metricsHandler serves a registry of this server alone: two nodes in one
// process have nothing in common.
func (s *Server) metricsHandler() func(http.ResponseWriter, *http.Request, caller) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), figures{s})
	h := promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
	return func(w http.ResponseWriter, r *http.Request, _ caller) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// figures collects what the node and the server know at the time of asking.
type figures struct{ s *Server }

// Describe sends nothing: which figures there are depends on the node's parts.
func (figures) Describe(chan<- *prometheus.Desc) {}

// Collect sends every figure once.
func (f figures) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeFor)
	defer cancel()
	for _, x := range f.s.samples(ctx) {
		names := slices.Sorted(maps.Keys(x.Labels))
		values := make([]string, len(names))
		for i, n := range names {
			values[i] = x.Labels[n]
		}
		kind := prometheus.GaugeValue
		if x.Counter {
			kind = prometheus.CounterValue
		}
		desc := prometheus.NewDesc(x.Name, x.Help, names, nil)
		m, err := prometheus.NewConstMetric(desc, kind, x.Value, values...)
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		ch <- m
	}
}

// samples lists the figures of the status, of the node's parts and of the
// server.
func (s *Server) samples(ctx context.Context) []Sample {
	gauge := func(name, help string, v float64) Sample { return Sample{Name: name, Help: help, Value: v} }
	list := s.config.Node.Samples(ctx)
	st, err := s.config.Node.Status(ctx)
	if err != nil {
		s.log.Warn("metrics without status", "err", err)
	} else {
		up := 0
		for _, p := range st.Overlay.Peers {
			if p.Up {
				up++
			}
		}
		use := math.NaN()
		if st.Radio.ChannelUse != nil {
			use = *st.Radio.ChannelUse
		}
		list = append(list,
			gauge("drey_store_events", "Events held.", float64(st.Store.Events)),
			gauge("drey_store_bytes", "Bytes of the store on disk.", float64(st.Store.Bytes)),
			gauge("drey_overlay_links", "Underlay links that are configured or found.", float64(len(st.Overlay.Peers))),
			gauge("drey_overlay_links_up", "Underlay links that are up.", float64(up)),
			gauge("drey_gossip_peers", "Machines of the community in contact.", float64(st.PubSub.Peers)),
			gauge("drey_community_members", "People and machines on the roster.", float64(st.Community.Members)),
			gauge("drey_radio_airtime_seconds", "Airtime used in the last hour.", float64(st.Radio.Airtime.UsedMS)/1000),
			gauge("drey_radio_airtime_limit_seconds", "Airtime allowed in an hour; 0 means no limit.", float64(st.Radio.Airtime.LimitMS)/1000),
			gauge("drey_radio_channel_use", "Share of the last minutes in which the channel was in use, 0 to 1; NaN where it was not measured.", use),
			gauge("drey_uptime_seconds", "Since the node's parts last began.", float64(st.Node.UptimeMS)/1000),
			gauge("drey_radio_waiting", "Deliveries that wait for air.", float64(st.Radio.Airtime.Waiting)),
			gauge("drey_problems", "Problems that the node knows of.", float64(len(st.Problems))),
		)
		for _, reason := range slices.Sorted(maps.Keys(st.Refused)) {
			list = append(list, Sample{Name: "drey_refused_total", Help: "Events refused since the start, by reason.",
				Labels: map[string]string{"reason": reason}, Value: float64(st.Refused[reason]), Counter: true})
		}
	}
	for status, n := range s.requests.all() {
		list = append(list, Sample{Name: "drey_web_requests_total", Help: "HTTP answers since the start, by status.",
			Labels: map[string]string{"status": strconv.Itoa(status)}, Value: float64(n), Counter: true})
	}
	return append(list,
		gauge("drey_web_streams", "Live streams that are open.", float64(s.streams.count()+s.guestStreams.count())),
		Sample{Name: "drey_web_guest_refused_total", Help: "Requests and posts of visitors beyond their rate.", Value: float64(s.guests.count()), Counter: true},
	)
}
