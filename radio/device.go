package radio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.bug.st/serial"
	"go.bug.st/serial/enumerator"
)

// What Config.Device may say beside a path.
const (
	deviceAuto = "auto"
	deviceNone = "none"
	tcpScheme  = "tcp://"
	tcpPort    = "4403"
	baudRate   = 115200
)

// dialTimeout is how long a radio on the network may take to answer.
const dialTimeout = 5 * time.Second

// errNoDevice reports that there is no serial device that may be a radio.
var errNoDevice = errors.New("no radio found on any serial port")

// boards are the USB vendors whose chips are on the boards that run
// Meshtastic. Other devices are not spoken to unasked.
var boards = []string{
	"10C4", // Silicon Labs CP210x
	"1A86", // WCH CH340, CH9102
	"303A", // Espressif
	"239A", // Adafruit nRF52 bootloaders: RAK, LilyGo
	"2886", // Seeed
	"2E8A", // Raspberry Pi RP2040
	"0403", // FTDI
}

// A finder opens the line to the radio. When there are several devices it
// tries one after the other.
type finder struct {
	cfg   Config
	turn  int    // of the next device to try
	good  string // the last one that turned out to be a radio
	alias string // the stable name of good
}

// open opens the next device that may be the radio.
func (f *finder) open(ctx context.Context) (io.ReadWriteCloser, string, error) {
	if f.cfg.Dial != nil {
		conn, err := f.cfg.Dial(ctx)
		return conn, f.cfg.Device, err
	}
	if host, ok := strings.CutPrefix(f.cfg.Device, tcpScheme); ok {
		return f.dial(ctx, host)
	}
	candidates := f.candidates()
	if len(candidates) == 0 {
		return nil, "", &deviceError{f.cfg.Device, errNoDevice}
	}
	path := candidates[f.turn%len(candidates)]
	f.turn++
	port, err := serial.Open(path, &serial.Mode{BaudRate: baudRate})
	if err != nil {
		return nil, "", &deviceError{path, serialError(path, err)}
	}
	return port, path, nil
}

// found notes that the device last opened is a radio: it is tried first from
// now on, also under the name that it has when it comes back.
func (f *finder) found(path string) {
	f.turn = 0
	f.good = path
	f.alias = ""
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return
	}
	for _, link := range f.links() {
		if t, err := filepath.EvalSymlinks(link); err == nil && t == target {
			f.alias = link
			return
		}
	}
}

// candidates lists the devices to try, the likeliest first.
func (f *finder) candidates() []string {
	var list []string
	add := func(path string) {
		if path == "" || slices.Contains(list, path) {
			return
		}
		if _, err := os.Stat(path); err == nil {
			list = append(list, path)
		}
	}
	if f.cfg.Device != deviceAuto {
		add(f.cfg.Device)
		add(f.alias)
		if len(list) == 0 {
			list = append(list, f.cfg.Device) // so that its own error is told
		}
		return list
	}
	add(f.good)
	ports, vendors := usbPorts()
	for _, link := range f.links() {
		target, err := filepath.EvalSymlinks(link)
		if vendor, known := vendors[target]; err == nil && (!known || slices.Contains(boards, vendor)) {
			add(link)
		}
	}
	for _, port := range ports {
		if slices.Contains(boards, vendors[port]) && !slices.ContainsFunc(list, func(p string) bool {
			target, err := filepath.EvalSymlinks(p)
			return err == nil && target == port
		}) {
			add(port)
		}
	}
	return list
}

// links lists the stable names of serial devices, sorted.
func (f *finder) links() []string {
	entries, err := os.ReadDir(f.cfg.SerialDir)
	if err != nil {
		return nil // there is no such directory while no device is plugged in
	}
	var links []string
	for _, e := range entries {
		links = append(links, filepath.Join(f.cfg.SerialDir, e.Name()))
	}
	return links
}

// usbPorts lists serial ports on USB with their vendors, in upper case.
func usbPorts() (ports []string, vendors map[string]string) {
	vendors = make(map[string]string)
	details, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, vendors // not every system can tell
	}
	for _, d := range details {
		if d.IsUSB {
			ports = append(ports, d.Name)
			vendors[d.Name] = strings.ToUpper(d.VID)
		}
	}
	slices.Sort(ports)
	return ports, vendors
}

func (f *finder) dial(ctx context.Context, host string) (io.ReadWriteCloser, string, error) {
	host = withPort(host)
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, "", &deviceError{tcpScheme + host, err}
	}
	return conn, tcpScheme + host, nil
}

// withPort adds the port of Meshtastic radios to an address that names none; an
// IPv6 address may stand in brackets or without.
func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	return net.JoinHostPort(host, tcpPort)
}

// A deviceError says why a device could not be opened.
type deviceError struct {
	device string
	err    error
}

func (e *deviceError) Error() string { return fmt.Sprintf("open radio %s: %v", e.device, e.err) }
func (e *deviceError) Unwrap() error { return e.err }

// Hint tells what to do about it.
func (e *deviceError) Hint() string {
	switch {
	case errors.Is(e.err, fs.ErrPermission):
		return "add the user that runs drey to the group dialout, then log in again"
	case errors.Is(e.err, errNoDevice), errors.Is(e.err, fs.ErrNotExist):
		return "plug the radio in with a data cable, or name its device with --radio"
	case strings.HasPrefix(e.device, tcpScheme):
		return "check the address, and that the radio's network is switched on"
	}
	return "another program may be using it"
}

// A lineError says why a line that was open is not any more.
type lineError struct {
	device string
	doing  string // "read from", "write to"
	err    error
}

func (e *lineError) Error() string {
	if errors.Is(e.err, io.EOF) {
		return fmt.Sprintf("the radio at %s closed the line", e.device)
	}
	return fmt.Sprintf("%s %s: %v", e.doing, e.device, e.err)
}

func (e *lineError) Unwrap() error { return e.err }

// Hint tells what to do about it.
func (e *lineError) Hint() string {
	if strings.HasPrefix(e.device, tcpScheme) {
		return "see that the radio has power and network; it serves one program at a time, so let others use the shared radio (radio.share)"
	}
	return hintOf(nil)
}

// hintOf returns what to do about an error.
func hintOf(err error) string {
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return h.Hint()
	}
	return "see that the radio has power, that its cable sits well, and that no other program uses it"
}

// serialError gives the library's errors their usual names.
func serialError(path string, err error) error {
	var p *serial.PortError
	if !errors.As(err, &p) {
		return err
	}
	switch p.Code() {
	case serial.PermissionDenied:
		return fs.ErrPermission
	case serial.PortNotFound:
		return fs.ErrNotExist
	}
	if _, gone := os.Stat(path); gone != nil {
		return fs.ErrNotExist
	}
	return err
}
