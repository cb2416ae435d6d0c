// Package activation has what stands in for the activations of one network, from the sites.json that polyact wrote beside this file.
//
// For Lattigo v6. A site with polynomials, x being a ciphertext:
//
//	sites, err := activation.Sites()
//	vector, err := sites["layer1.0.relu"].Vector(slots)
//	scale, offset := vector.ChangeOfBasis(params.MaxSlots())
//	// x = scale*x + offset takes one level, or none where the layer before is multiplied by scale.
//	y, err := polynomial.NewEvaluator(params, evaluator).Evaluate(x, vector, params.DefaultScale())
//
// A site with a composition: ReLU(x) = x*step(x/bound), of which the layer before can give x/bound as well.
//
//	step, err := sites["relu"].Step()
//	y, err := minimax.NewEvaluator(params, evaluator, bootstrapper).Evaluate(x, step)
//
// max(a, b) = b + ReLU(a-b), with what stands at the pool for ReLU.
package activation

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/tuneinsight/lattigo/v6/circuits/ckks/minimax"
	"github.com/tuneinsight/lattigo/v6/circuits/ckks/polynomial"
	"github.com/tuneinsight/lattigo/v6/utils/bignum"
)

//go:embed sites.json
var file []byte

// Site is what stands in for one ReLU, ReLU6 or max-pool.
type Site struct {
	Name string `json:"site"`
	// Kind is relu, relu6 or maxpool.
	Kind       string
	Activation string
	// Range is what the inputs are to stay within; nil where the function itself stays.
	Range []float64
	// Depth and Mults are levels and ciphertext products of one evaluation.
	Depth, Mults int
	// Worst is the largest error on the range.
	Worst float64
	// Composition is nil where there are polynomials.
	Composition *Composition
	// Polynomials has one for all channels, or one for each, in their order.
	Polynomials []Polynomial
}

// Polynomial is a Chebyshev series on its interval.
type Polynomial struct {
	Interval  [2]float64
	Chebyshev []float64
}

// Composition is sign by its stages, each a Chebyshev series from [-1,1] into [-1,1].
type Composition struct {
	Spec   string
	Bound  float64
	Stages [][]float64
}

// Sites reads all sites, by name.
func Sites() (map[string]Site, error) {
	var read struct{ Sites []Site }
	if err := json.Unmarshal(file, &read); err != nil {
		return nil, fmt.Errorf("sites.json: %w", err)
	}
	sites := make(map[string]Site, len(read.Sites))
	for _, site := range read.Sites {
		sites[site.Name] = site
	}
	return sites, nil
}

// Vector has the polynomial of each channel on that channel's slots. Where one polynomial stands for all channels, slots[0] lists all
// slots that are used. A slot that is not listed becomes zero.
func (s Site) Vector(slots map[int][]int) (polynomial.PolynomialVector, error) {
	if len(s.Polynomials) == 0 {
		return polynomial.PolynomialVector{}, fmt.Errorf("site %s has no polynomials", s.Name)
	}
	length := 0
	for _, p := range s.Polynomials {
		length = max(length, len(p.Chebyshev))
	}
	all := make([]bignum.Polynomial, len(s.Polynomials))
	for channel, p := range s.Polynomials {
		// The vector takes polynomials of one degree.
		coefficients := make([]float64, length)
		copy(coefficients, p.Chebyshev)
		all[channel] = bignum.NewPolynomial(bignum.Chebyshev, coefficients, p.Interval)
	}
	return polynomial.NewPolynomialVector(all, slots)
}

// Step is the composition as a step from 0 to 1: its last stage is (1+p)/2.
func (s Site) Step() (minimax.Polynomial, error) {
	if s.Composition == nil {
		return nil, fmt.Errorf("site %s has no composition", s.Name)
	}
	stages := s.Composition.Stages
	rows := make([][]string, len(stages))
	for i, stage := range stages {
		rows[i] = make([]string, len(stage))
		for k, c := range stage {
			if i == len(stages)-1 {
				c /= 2
				if k == 0 {
					c += 0.5
				}
			}
			rows[i][k] = strconv.FormatFloat(c, 'g', -1, 64)
		}
	}
	return minimax.NewPolynomial(rows), nil
}
