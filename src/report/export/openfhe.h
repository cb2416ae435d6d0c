// What stands in for the activations of one network, written by polyact for OpenFHE. Products need the key of EvalMultKeyGen.
#pragma once

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "openfhe.h"

namespace activation {

using Ciphertext = lbcrypto::Ciphertext<lbcrypto::DCRTPoly>;

// c_0 + c_1 T_1(t) + c_2 T_2(t) + ..., t = (2x - low - high)/(high - low).
struct Polynomial {
    double low, high;
    std::vector<double> chebyshev;
};

struct Site {
    std::string name;
    // relu, relu6 or maxpool.
    std::string kind;
    // Of a composition: what x is divided by, and the stages of sign, each from [-1,1] into [-1,1].
    double bound;
    std::vector<std::vector<double>> stages;
    // Otherwise: one for all channels, or one for each.
    std::vector<Polynomial> polynomials;
};

// The same series as EvalChebyshevSeries takes it: it halves the first coefficient.
inline Ciphertext Series(const Ciphertext& x, std::vector<double> chebyshev, double low, double high) {
    chebyshev[0] *= 2;
    return x->GetCryptoContext()->EvalChebyshevSeries(x, chebyshev, low, high);
}

// x*step(x/bound), with a step from 0 to 1: the half of (x + x*sign(x/bound))/2 is folded into its last stage.
inline Ciphertext Composition(const Ciphertext& x, const std::vector<std::vector<double>>& stages, double bound) {
    auto context = x->GetCryptoContext();
    auto t = context->EvalMult(x, 1 / bound);
    for (size_t i = 0; i < stages.size(); i++) {
        auto stage = stages[i];
        if (i + 1 == stages.size()) {
            for (auto& c : stage)
                c /= 2;
            stage[0] += 0.5;
        }
        t = Series(t, stage, -1, 1);
    }
    return context->EvalMult(x, t);
}

// Polynomials of channels, evaluated together: coefficients are vectors over the slots, and p = q*T_g + r recursively, with T_g for
// powers of two g from the number of baby steps on.
class ByChannel {
public:
    // channels[slot] is the channel that lies there, or negative where nothing does.
    ByChannel(const Ciphertext& x, const std::vector<Polynomial>& polynomials, const std::vector<int>& channels)
        : context(x->GetCryptoContext()) {
        size_t length = 2;
        for (const auto& p : polynomials)
            length = std::max(length, p.chebyshev.size());
        std::vector<double> scale(channels.size()), offset(channels.size());
        series.assign(length, std::vector<double>(channels.size()));
        for (size_t slot = 0; slot < channels.size(); slot++) {
            if (channels[slot] < 0)
                continue;
            const auto& p = polynomials.at(channels[slot]);
            scale[slot] = 2 / (p.high - p.low);
            offset[slot] = -(p.low + p.high) / (p.high - p.low);
            for (size_t k = 0; k < p.chebyshev.size(); k++)
                series[k][slot] = p.chebyshev[k];
        }
        while (babies * babies * 2 < length)
            babies *= 2;
        powers[1] = context->EvalAdd(context->EvalMult(x, Plain(scale)), Plain(offset));
    }

    Ciphertext Value() { return Value(series); }

private:
    using Vectors = std::vector<std::vector<double>>;

    lbcrypto::CryptoContext<lbcrypto::DCRTPoly> context;
    Vectors series;
    size_t babies = 2;
    std::map<size_t, Ciphertext> powers;

    lbcrypto::Plaintext Plain(const std::vector<double>& numbers) { return context->MakeCKKSPackedPlaintext(numbers); }

    // T_k = 2 T_h T_(k-h) - T_|k-2h| for the largest power of two h below k, which is the least depth.
    const Ciphertext& T(size_t k) {
        if (auto known = powers.find(k); known != powers.end())
            return known->second;
        size_t h = 1;
        while (2 * h < k)
            h *= 2;
        auto product = context->EvalMult(T(h), T(k - h));
        auto twice = context->EvalAdd(product, product);
        size_t rest = h > k - h ? 2 * h - k : k - 2 * h;
        powers[k] = rest == 0 ? context->EvalSub(twice, 1.0) : context->EvalSub(twice, T(rest));
        return powers[k];
    }

    Ciphertext Value(const Vectors& c) {
        if (c.size() <= babies) {
            Ciphertext sum;
            for (size_t k = 1; k < c.size(); k++) {
                auto term = context->EvalMult(T(k), Plain(c[k]));
                sum = k == 1 ? term : context->EvalAdd(sum, term);
            }
            return context->EvalAdd(sum, Plain(c[0]));
        }
        size_t g = babies;
        while (2 * g < c.size())
            g *= 2;
        // c_(g+j) T_(g+j) = 2 c_(g+j) T_g T_j - c_(g+j) T_(g-j).
        Vectors quotient(c.begin() + g, c.end()), rest(c.begin(), c.begin() + g);
        for (size_t j = 1; j < quotient.size(); j++) {
            for (size_t slot = 0; slot < quotient[j].size(); slot++) {
                rest[g - j][slot] -= quotient[j][slot];
                quotient[j][slot] *= 2;
            }
        }
        auto product = quotient.size() == 1 ? context->EvalMult(T(g), Plain(quotient[0]))
                                            : context->EvalMult(T(g), Value(quotient));
        return context->EvalAdd(product, Value(rest));
    }
};

// What stands at the site for ReLU or ReLU6, or for ReLU in max(a, b) = b + ReLU(a - b). `channels` is needed where there is a
// polynomial for each channel: of each slot, the channel that lies there, or a negative number.
inline Ciphertext Evaluate(const Ciphertext& x, const Site& site, const std::vector<int>& channels = {}) {
    auto context = x->GetCryptoContext();
    if (site.polynomials.size() > 1) {
        if (channels.empty())
            throw std::invalid_argument(site.name + " has a polynomial for each channel; say which lies in which slot");
        return ByChannel(x, site.polynomials, channels).Value();
    }
    if (site.polynomials.size() == 1) {
        const auto& p = site.polynomials[0];
        return Series(x, p.chebyshev, p.low, p.high);
    }
    auto relu = Composition(x, site.stages, site.bound);
    if (site.kind != "relu6")
        return relu;
    return context->EvalSub(relu, Composition(context->EvalSub(x, 6.0), site.stages, site.bound + 6));
}

// The larger of two values at a max-pool.
inline Ciphertext Max(const Ciphertext& a, const Ciphertext& b, const Site& site) {
    auto context = a->GetCryptoContext();
    return context->EvalAdd(b, Evaluate(context->EvalSub(a, b), site));
}

}  // namespace activation
