// Package crash kills the real binary while clients publish, 200 times.
package crash
