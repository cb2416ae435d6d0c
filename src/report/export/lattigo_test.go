package activation

// Evaluates every site on ciphertexts, and prints the worst error beside the forecast; written by polyact for Lattigo v6:
//
//	go mod init activation && go mod tidy    # where the folder is in no module yet
//	go test -v
//
// What it needs: a relinearization key. The ring is the conjugate-invariant one, of dimension 2^13 and without security; in a standard ring
// minimax.Evaluator conjugates what each stage gives, and needs the key of params.GaloisElementForComplexConjugation() as well. There are
// as many levels as the deepest site takes, so that nothing is bootstrapped; where there are fewer, minimax.Evaluator bootstraps between
// stages, and takes a bootstrapping.Evaluator in the place of the bootstrapper of this test, which has the secret key and is not called.

import (
	"fmt"
	"math"
	"testing"

	"github.com/tuneinsight/lattigo/v6/circuits/ckks/bootstrapping"
	"github.com/tuneinsight/lattigo/v6/circuits/ckks/minimax"
	"github.com/tuneinsight/lattigo/v6/circuits/ckks/polynomial"
	"github.com/tuneinsight/lattigo/v6/core/rlwe"
	"github.com/tuneinsight/lattigo/v6/ring"
	"github.com/tuneinsight/lattigo/v6/schemes/ckks"
)

const (
	logScale = 45
	logRing  = 13
)

type scheme struct {
	params    ckks.Parameters
	encoder   *ckks.Encoder
	encryptor *rlwe.Encryptor
	decryptor *rlwe.Decryptor
	evaluator *ckks.Evaluator
	// Never called, as there are enough levels.
	bootstrapper *bootstrapping.SecretKeyBootstrapper
}

func newScheme(levels int) (*scheme, error) {
	moduli := []int{60}
	for i := 0; i < levels; i++ {
		moduli = append(moduli, logScale)
	}
	params, err := ckks.NewParametersFromLiteral(ckks.ParametersLiteral{
		LogN:            logRing,
		LogQ:            moduli,
		LogP:            []int{61, 61},
		LogDefaultScale: logScale,
		RingType:        ring.ConjugateInvariant,
	})
	if err != nil {
		return nil, err
	}
	keys := rlwe.NewKeyGenerator(params)
	secret := keys.GenSecretKeyNew()
	return &scheme{
		params:       params,
		encoder:      ckks.NewEncoder(params),
		encryptor:    rlwe.NewEncryptor(params, secret),
		decryptor:    rlwe.NewDecryptor(params, secret),
		evaluator:    ckks.NewEvaluator(params, rlwe.NewMemEvaluationKeySet(keys.GenRelinearizationKeyNew(secret))),
		bootstrapper: bootstrapping.NewSecretKeyBootstrapper(params, secret),
	}, nil
}

// levels that evaluate takes: one scales the input.
func (s Site) levels() int {
	return s.Depth + 1
}

// points are values over the range, of each channel on its part of the slots, and the slots of each polynomial.
func (s Site) points(count int) ([]float64, map[int][]int) {
	channels := max(1, len(s.Polynomials))
	values, slots := make([]float64, count), make(map[int][]int)
	for channel := 0; channel < channels; channel++ {
		ends := [2]float64{}
		if s.Composition != nil {
			copy(ends[:], s.Range)
		} else {
			ends = s.Polynomials[channel].Interval
		}
		first, end := channel*count/channels, (channel+1)*count/channels
		for slot := first; slot < end; slot++ {
			values[slot] = ends[0] + (ends[1]-ends[0])*float64(slot-first)/float64(max(1, end-first-1))
			slots[channel] = append(slots[channel], slot)
		}
	}
	return values, slots
}

func (s Site) exact(x float64) float64 {
	if s.Kind == "relu6" {
		return min(max(x, 0), 6)
	}
	return max(x, 0)
}

// evaluate gives what stands for ReLU or ReLU6 at the site, or for ReLU in max(a, b) = b + ReLU(a-b).
func (c *scheme) evaluate(x *rlwe.Ciphertext, s Site, slots map[int][]int) (*rlwe.Ciphertext, error) {
	if s.Composition == nil {
		vector, err := s.Vector(slots)
		if err != nil {
			return nil, err
		}
		scale, offset := vector.ChangeOfBasis(c.params.MaxSlots())
		t, err := c.evaluator.MulNew(x, scale)
		if err != nil {
			return nil, err
		}
		if err = c.evaluator.Add(t, offset, t); err != nil {
			return nil, err
		}
		if err = c.evaluator.Rescale(t, t); err != nil {
			return nil, err
		}
		return polynomial.NewEvaluator(c.params, c.evaluator).Evaluate(t, vector, c.params.DefaultScale())
	}
	relu, err := c.composed(x, s, s.Composition.Bound)
	if err != nil || s.Kind != "relu6" {
		return relu, err
	}
	behind, err := c.evaluator.SubNew(x, 6.0)
	if err != nil {
		return nil, err
	}
	second, err := c.composed(behind, s, s.Composition.Bound+6)
	if err != nil {
		return nil, err
	}
	return c.evaluator.SubNew(relu, second)
}

// composed is x*step(x/bound).
func (c *scheme) composed(x *rlwe.Ciphertext, s Site, bound float64) (*rlwe.Ciphertext, error) {
	step, err := s.Step()
	if err != nil {
		return nil, err
	}
	t, err := c.evaluator.MulNew(x, 1/bound)
	if err != nil {
		return nil, err
	}
	if err = c.evaluator.Rescale(t, t); err != nil {
		return nil, err
	}
	if t, err = minimax.NewEvaluator(c.params, c.evaluator, c.bootstrapper).Evaluate(t, step); err != nil {
		return nil, err
	}
	if t, err = c.evaluator.MulRelinNew(x, t); err != nil {
		return nil, err
	}
	return t, c.evaluator.Rescale(t, t)
}

func (c *scheme) encrypt(values []float64) (*rlwe.Ciphertext, error) {
	plaintext := ckks.NewPlaintext(c.params, c.params.MaxLevel())
	if err := c.encoder.Encode(values, plaintext); err != nil {
		return nil, err
	}
	return c.encryptor.EncryptNew(plaintext)
}

// check gives the levels that the site took and its worst error.
func (c *scheme) check(s Site) (int, float64, error) {
	values, slots := s.points(c.params.MaxSlots())
	x, err := c.encrypt(values)
	if err != nil {
		return 0, 0, err
	}
	y, err := c.evaluate(x, s, slots)
	if err != nil {
		return 0, 0, err
	}
	found := make([]float64, len(values))
	if err = c.encoder.Decode(c.decryptor.DecryptNew(y), found); err != nil {
		return 0, 0, err
	}
	worst := 0.0
	for i, value := range found {
		worst = max(worst, math.Abs(value-s.exact(values[i])))
	}
	return x.Level() - y.Level(), worst, nil
}

func TestSitesOnCiphertexts(t *testing.T) {
	sites, err := Sites()
	if err != nil {
		t.Fatal(err)
	}
	levels := 0
	for _, site := range sites {
		levels = max(levels, site.levels())
	}
	scheme, err := newScheme(levels)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%-32s %6s  %10s  %10s\n", "site", "levels", "worst", "forecast")
	for name, site := range sites {
		if site.Range == nil {
			continue
		}
		taken, worst, err := scheme.check(site)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		fmt.Printf("%-32s %6d  %10.3e  %10.3e\n", name, taken, worst, site.Worst)
		if worst > 1.05*site.Worst {
			t.Errorf("%s: error %g is above the forecast %g", name, worst, site.Worst)
		}
	}
}
