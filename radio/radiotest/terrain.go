package radiotest

import (
	"math"
	"math/rand/v2"
)

// A Terrain is how well each radio of an ether hears each other, by the order
// in which they were put on the air.
type Terrain struct {
	snr  [][]float64 // dB over the noise, [from][to]
	near float64
}

// Propagation at 868 MHz in a village: 17 dBm and 2 dB of antenna, 37 dB a
// decade of distance, 6 dB of shadow, a receiver of 250 kHz that adds 6 dB of
// noise.
const (
	strength = 17 + 2
	atMetre  = 14.0
	decade   = 37.0
	shadow   = 6.0
	noise    = -114.0
	margin   = 2.0 // by which the terrain holds together, in dB

	faintestLongFast = -17.5 // dB over the noise: the sensitivity at LongFast
)

// NewTerrain scatters n radios over a square of so many metres, the first
// central of them within the inner three fifths, again and again until all
// are joined, as at LongFast. One seed gives one terrain, for every modulation.
func NewTerrain(seed uint64, n, central int, side float64) *Terrain {
	random := rand.New(rand.NewPCG(seed, 1))
	for {
		t := scatter(random, n, central, side)
		if t.joined(faintestLongFast + margin) {
			t.near = t.neighbours(faintestLongFast)
			return t
		}
	}
}

func scatter(random *rand.Rand, n, central int, side float64) *Terrain {
	at := make([][2]float64, n)
	for i := range at {
		size, from := side, 0.0
		if i < central {
			size, from = side*0.6, side*0.2
		}
		at[i] = [2]float64{from + random.Float64()*size, from + random.Float64()*size}
	}
	t := &Terrain{snr: make([][]float64, n)}
	for i := range t.snr {
		t.snr[i] = make([]float64, n)
		for j := range i {
			metres := max(10, math.Hypot(at[i][0]-at[j][0], at[i][1]-at[j][1]))
			loss := atMetre + decade*math.Log10(metres) + random.NormFloat64()*shadow
			t.snr[i][j] = strength - loss - noise
			t.snr[j][i] = t.snr[i][j]
		}
	}
	return t
}

// joined reports whether every radio reaches every other over links of at
// least so many dB.
func (t *Terrain) joined(least float64) bool {
	reached := map[int]bool{0: true}
	for edge := []int{0}; len(edge) > 0; {
		i := edge[0]
		edge = edge[1:]
		for j := range t.snr {
			if !reached[j] && t.snr[i][j] >= least {
				reached[j] = true
				edge = append(edge, j)
			}
		}
	}
	return len(reached) == len(t.snr)
}

func (t *Terrain) neighbours(least float64) float64 {
	links := 0
	for i := range t.snr {
		for j := range t.snr {
			if i != j && t.snr[i][j] >= least {
				links++
			}
		}
	}
	return float64(links) / float64(len(t.snr))
}

// Neighbours returns how many others a radio hears, on average.
func (t *Terrain) Neighbours() float64 { return t.near }

// Joins reports whether two radios hear each other at LongFast.
func (t *Terrain) Joins(a, b *Radio) bool { return t.SNR(a, b) >= faintestLongFast }

// SNR is for Config.SNR. Radios beyond the terrain hear nobody.
func (t *Terrain) SNR(from, to *Radio) float64 {
	if from.index >= len(t.snr) || to.index >= len(t.snr) {
		return math.Inf(-1)
	}
	return t.snr[from.index][to.index]
}
