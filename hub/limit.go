package hub

import "time"

// A pace lets each key do so much an hour, all at once if it likes, by one time
// per key (GCRA). It holds at most a number of keys; those that have rested
// longest are forgotten first, which only does them a favour.
type pace[K comparable] struct {
	most int
	free map[K]time.Time // when all of the hour's allowance is there again
}

func newPace[K comparable](most int) *pace[K] {
	return &pace[K]{most: most, free: make(map[K]time.Time)}
}

// allow takes one of perHour for key, and reports whether there was one.
func (p *pace[K]) allow(key K, perHour int, now time.Time) bool {
	if perHour <= 0 {
		return false
	}
	free, known := p.free[key]
	if !known && len(p.free) >= p.most {
		p.makeRoom(now)
	}
	// A clock that was set back must not shut anybody out for years.
	if limit := now.Add(time.Hour); free.After(limit) {
		free = limit
		p.free[key] = free
	}
	if free.Before(now) {
		free = now
	}
	next := free.Add(time.Hour / time.Duration(perHour))
	if next.After(now.Add(time.Hour)) {
		return false
	}
	p.free[key] = next
	return true
}

func (p *pace[K]) makeRoom(now time.Time) {
	var rested K
	first := true
	for k, free := range p.free {
		if !free.After(now) {
			delete(p.free, k)
			continue
		}
		if first || free.Before(p.free[rested]) {
			rested, first = k, false
		}
	}
	if len(p.free) >= p.most {
		delete(p.free, rested)
	}
}

// A quota lets each key do so much within any hour, exactly, by keeping the
// times. It is for small numbers.
type quota[K comparable] struct {
	perHour int
	most    int // keys
	times   map[K][]time.Time
}

func newQuota[K comparable](perHour, most int) *quota[K] {
	return &quota[K]{perHour: perHour, most: most, times: make(map[K][]time.Time)}
}

// take uses one of key's for this hour, and reports whether there was one.
func (q *quota[K]) take(key K, now time.Time) bool {
	var recent []time.Time
	for _, t := range q.times[key] {
		if d := now.Sub(t); d < time.Hour && d > -time.Hour {
			recent = append(recent, t)
		}
	}
	if len(recent) >= q.perHour {
		q.times[key] = recent
		return false
	}
	if _, known := q.times[key]; !known && len(q.times) >= q.most {
		q.makeRoom(now)
	}
	if len(q.times) >= q.most && q.times[key] == nil {
		return false // thousands of authors with emergencies within an hour
	}
	q.times[key] = append(recent, now)
	return true
}

// giveBack undoes the take of that time.
func (q *quota[K]) giveBack(key K, at time.Time) {
	for i, t := range q.times[key] {
		if t.Equal(at) {
			q.times[key] = append(q.times[key][:i:i], q.times[key][i+1:]...)
			break
		}
	}
	if len(q.times[key]) == 0 {
		delete(q.times, key)
	}
}

func (q *quota[K]) makeRoom(now time.Time) {
	for k, times := range q.times {
		if len(times) == 0 || now.Sub(times[len(times)-1]) >= time.Hour {
			delete(q.times, k)
		}
	}
}
