// What stands in for the activations of one network, written by polyact for OpenFHE. Products need the key of EvalMultKeyGen, and
// nothing needs rotations. Levels(site) says how many levels an evaluation takes; a ciphertext that has fewer is to be bootstrapped
// before. main.cpp evaluates every site.
#pragma once

#include <stdexcept>
#include <string>

@SERIES@
namespace activation {

// c_0 + c_1 T_1(t) + c_2 T_2(t) + ..., t = (2x - low - high)/(high - low).
struct Polynomial {
    double low, high;
    std::vector<double> chebyshev;
};

struct Site {
    std::string name;
    // relu, relu6 or maxpool.
    std::string kind;
    // The ends of the inputs, of a max-pool those of what it compares; and the largest error there.
    double low, high, worst;
    // Of a composition: what x is divided by, and the stages of sign, each from [-1,1] into [-1,1].
    double bound;
    std::vector<std::vector<double>> stages;
    // Otherwise: one for all channels, or one for each.
    std::vector<Polynomial> polynomials;
};

// c_0 + c_1 T_1(t) + ... for the t of a polynomial, or for that of the channel in each slot.
inline Series SeriesOf(const std::vector<Polynomial>& polynomials) {
    size_t length = 1;
    for (const auto& p : polynomials)
        length = std::max(length, p.chebyshev.size());
    std::vector<Numbers> all(length, Numbers(polynomials.size()));
    for (size_t i = 0; i < polynomials.size(); i++)
        for (size_t k = 0; k < polynomials[i].chebyshev.size(); k++)
            all[k][i] = polynomials[i].chebyshev[k];
    return Series(std::move(all));
}

// factor*size*step(t), with a step from 0 to 1: the half of (1 + sign(t))/2, and `size`, are folded into its last stage.
inline Ciphertext Composition(const Ciphertext& factor, Ciphertext t, double size, std::vector<std::vector<double>> stages) {
    for (auto& c : stages.back())
        c *= size / 2;
    stages.back()[0] += size / 2;
    for (const auto& stage : stages)
        t = Series(stage).Value(t);
    return t->GetCryptoContext()->EvalMult(factor, t);
}

// Levels that Evaluate takes, or EvaluateScaled if `scaled`.
inline size_t Levels(const Site& site, bool scaled = false) {
    size_t levels = scaled && (site.kind != "relu6" || site.stages.empty()) ? 0 : 1;
    if (!site.polynomials.empty())
        return levels + SeriesOf(site.polynomials).Depth();
    for (const auto& stage : site.stages)
        levels += Series(stage).Depth();
    return levels + 1;
}

// Where one of several channels lies has to be told.
inline void CheckChannels(const Site& site, const std::vector<int>& channels) {
    if (site.polynomials.size() > 1 && channels.empty())
        throw std::invalid_argument(site.name + " has a polynomial for each channel; say which lies in which slot");
}

// What Evaluate gives of t in [-1,1]: t = (2x - low - high)/(high - low) of a polynomial, t = x/bound of a composition. The layer before,
// multiplied by that, gives t without a level of its own.
inline Ciphertext EvaluateScaled(const Ciphertext& t, const Site& site, const std::vector<int>& channels = {}) {
    CheckChannels(site, channels);
    if (!site.polynomials.empty())
        return SeriesOf(site.polynomials).Value(t, channels);
    auto context = t->GetCryptoContext();
    auto relu = Composition(t, t, site.bound, site.stages);
    if (site.kind != "relu6")
        return relu;
    double wider = site.bound + 6;
    auto behind = context->EvalSub(context->EvalMult(t, site.bound / wider), 6 / wider);
    return context->EvalSub(relu, Composition(behind, behind, wider, site.stages));
}

// What stands at the site for ReLU or ReLU6, or for ReLU in max(a, b) = b + ReLU(a - b). `channels` is needed where there is a
// polynomial for each channel: of each slot, the channel that lies there, or a negative number.
inline Ciphertext Evaluate(const Ciphertext& x, const Site& site, const std::vector<int>& channels = {}) {
    CheckChannels(site, channels);
    auto context = x->GetCryptoContext();
    if (!site.polynomials.empty()) {
        Numbers scale, offset;
        for (const auto& p : site.polynomials) {
            scale.push_back(2 / (p.high - p.low));
            offset.push_back(-(p.low + p.high) / (p.high - p.low));
        }
        return EvaluateScaled(Series::Plus(Series::Times(x, scale, channels), offset, channels), site, channels);
    }
    auto relu = Composition(x, context->EvalMult(x, 1 / site.bound), 1, site.stages);
    if (site.kind != "relu6")
        return relu;
    auto behind = context->EvalSub(x, 6.0);
    return context->EvalSub(relu, Composition(behind, context->EvalMult(behind, 1 / (site.bound + 6)), 1, site.stages));
}

// The larger of two values at a max-pool.
inline Ciphertext Max(const Ciphertext& a, const Ciphertext& b, const Site& site) {
    auto context = a->GetCryptoContext();
    return context->EvalAdd(b, Evaluate(context->EvalSub(a, b), site));
}

}  // namespace activation
