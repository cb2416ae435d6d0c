// The calls of OpenFHE that the exported header makes, on plain vectors: what EvalChebyshevSeries computes is that of
// src/pke/lib/scheme/ckksrns/ckksrns-advancedshe.cpp, whose first coefficient counts half.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

namespace lbcrypto {

struct DCRTPoly {};
using Plaintext = std::shared_ptr<std::vector<double>>;
struct Context;
template <typename> using CryptoContext = std::shared_ptr<Context>;

struct Encrypted {
    std::vector<double> slots;
    std::shared_ptr<Context> context;
    std::shared_ptr<Context> GetCryptoContext() const { return context; }
};
template <typename> using Ciphertext = std::shared_ptr<Encrypted>;

struct Context : std::enable_shared_from_this<Context> {
    using C = std::shared_ptr<Encrypted>;

    // Products of two ciphertexts.
    int products = 0;

    C Of(std::vector<double> slots) { return std::make_shared<Encrypted>(Encrypted{std::move(slots), shared_from_this()}); }
    template <typename F> C Each(const C& a, F f) {
        auto slots = a->slots;
        for (size_t i = 0; i < slots.size(); i++)
            slots[i] = f(slots[i], i);
        return Of(slots);
    }

    Plaintext MakeCKKSPackedPlaintext(const std::vector<double>& x) { return std::make_shared<std::vector<double>>(x); }
    C EvalAdd(const C& a, const C& b) { return Each(a, [&](double x, size_t i) { return x + b->slots[i]; }); }
    C EvalAdd(const C& a, const Plaintext& b) { return Each(a, [&](double x, size_t i) { return x + b->at(i); }); }
    C EvalSub(const C& a, const C& b) { return Each(a, [&](double x, size_t i) { return x - b->slots[i]; }); }
    C EvalSub(const C& a, double b) { return Each(a, [&](double x, size_t) { return x - b; }); }
    C EvalMult(const C& a, const C& b) {
        products++;
        return Each(a, [&](double x, size_t i) { return x * b->slots[i]; });
    }
    C EvalMult(const C& a, const Plaintext& b) { return Each(a, [&](double x, size_t i) { return x * b->at(i); }); }
    C EvalMult(const C& a, double b) { return Each(a, [&](double x, size_t) { return x * b; }); }
    C EvalChebyshevSeries(const C& a, const std::vector<double>& c, double low, double high) {
        return Each(a, [&](double x, size_t) {
            double t = (2 * x - low - high) / (high - low), sum = c[0] / 2, before = 1, now = t;
            for (size_t k = 1; k < c.size(); k++) {
                sum += c[k] * now;
                double next = 2 * t * now - before;
                before = now, now = next;
            }
            return sum;
        });
    }
};

}  // namespace lbcrypto
