package meshtastic

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// A Position is where a radio is, as it says itself on PortPosition.
type Position struct {
	Known     bool    // latitude and longitude are there
	Latitude  float64 // degrees, −90 to 90
	Longitude float64 // degrees, −180 to 180
	Altitude  int32   // metres above the sea
	Time      uint32  // seconds since 1970; 0 when not known
	Precision uint32  // bits of latitude and longitude that count; 0 when not told
}

// e7 is the unit of degrees on the wire.
const e7 = 1e7

// AppendPosition appends p's protobuf form.
func AppendPosition(b []byte, p *Position) []byte {
	if p.Known {
		b = protowire.AppendFixed32(protowire.AppendTag(b, 1, protowire.Fixed32Type), uint32(int32(math.Round(p.Latitude*e7))))
		b = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), uint32(int32(math.Round(p.Longitude*e7))))
	}
	b = appendInt(b, 3, p.Altitude)
	b = appendFixed32(b, 4, p.Time)
	return appendUint(b, 23, uint64(p.Precision))
}

// ParsePosition reads a Position. One off the globe is not known.
func ParsePosition(b []byte) (*Position, error) {
	p := new(Position)
	var lat, lon uint32
	var have [2]bool
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			have[0] = true
			return f.fixed32(&lat)
		case 2:
			have[1] = true
			return f.fixed32(&lon)
		case 3:
			return f.int32(&p.Altitude)
		case 4:
			return f.fixed32(&p.Time)
		case 23:
			return f.uint32(&p.Precision)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.Latitude, p.Longitude = float64(int32(lat))/e7, float64(int32(lon))/e7
	p.Known = have[0] && have[1] && math.Abs(p.Latitude) <= 90 && math.Abs(p.Longitude) <= 180
	if !p.Known {
		p.Latitude, p.Longitude = 0, 0
	}
	return p, nil
}

// An Environment is what a radio's sensors measure. A nil value was not told.
type Environment struct {
	Temperature *float32 // °C
	Humidity    *float32 // per cent
	Pressure    *float32 // hPa
}

// Telemetry is what a radio sends on PortTelemetry; one of the parts is set,
// none where it carries something not listed here.
type Telemetry struct {
	Time        uint32 // seconds since 1970; 0 when not known
	Device      *Metrics
	Environment *Environment
}

// ParseReadings reads a Telemetry message whole.
func ParseReadings(b []byte) (*Telemetry, error) {
	t := new(Telemetry)
	return t, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.fixed32(&t.Time)
		case 2:
			return message(f, parseMetrics, &t.Device)
		case 3:
			return message(f, parseEnvironment, &t.Environment)
		}
		return nil
	})
}

// AppendEnvironment appends a Telemetry message with sensors' readings.
func AppendEnvironment(b []byte, at uint32, e *Environment) []byte {
	var inner []byte
	for i, v := range []*float32{e.Temperature, e.Humidity, e.Pressure} {
		if v != nil {
			inner = protowire.AppendFixed32(protowire.AppendTag(inner, protowire.Number(i+1), protowire.Fixed32Type), math.Float32bits(*v))
		}
	}
	return appendMessage(appendFixed32(b, 1, at), 3, inner)
}

func parseEnvironment(b []byte) (*Environment, error) {
	e := new(Environment)
	return e, eachField(b, func(f field) error {
		var at **float32
		switch f.num {
		case 1:
			at = &e.Temperature
		case 2:
			at = &e.Humidity
		case 3:
			at = &e.Pressure
		default:
			return nil
		}
		*at = new(float32)
		return f.float(*at)
	})
}
