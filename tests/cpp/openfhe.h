// The calls of OpenFHE that what is exported makes, on plain vectors, with the levels that FLEXIBLEAUTO takes: every product takes one.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace lbcrypto {

struct DCRTPoly {};
struct Context;
template <typename> using CryptoContext = std::shared_ptr<Context>;

struct Encoded {
    std::vector<double> slots;
    void SetLength(size_t length) { slots.resize(length); }
    std::vector<double> GetRealPackedValue() const { return slots; }
};
using Plaintext = std::shared_ptr<Encoded>;

struct Encrypted {
    std::vector<double> slots;
    std::shared_ptr<Context> context;
    size_t level;
    std::shared_ptr<Context> GetCryptoContext() const { return context; }
    size_t GetLevel() const { return level; }
    size_t GetNoiseScaleDeg() const { return 1; }
};
template <typename> using Ciphertext = std::shared_ptr<Encrypted>;

struct Key {};
template <typename> struct KeyPair {
    Key publicKey, secretKey;
};
enum Feature { PKE, KEYSWITCH, LEVELEDSHE, ADVANCEDSHE };
enum SecurityLevel { HEStd_NotSet };
enum ScalingTechnique { FLEXIBLEAUTO };
struct CryptoContextCKKSRNS {};
template <typename> struct CCParams {
    size_t levels = 0;
    void SetMultiplicativeDepth(size_t depth) { levels = depth; }
    void SetScalingModSize(size_t) {}
    void SetFirstModSize(size_t) {}
    void SetScalingTechnique(ScalingTechnique) {}
    void SetBatchSize(size_t) {}
    void SetSecurityLevel(SecurityLevel) {}
    void SetRingDim(size_t) {}
};

struct Context : std::enable_shared_from_this<Context> {
    using C = std::shared_ptr<Encrypted>;

    // Products of two ciphertexts.
    int products = 0;

    C Of(std::vector<double> slots, size_t level = 0) {
        return std::make_shared<Encrypted>(Encrypted{std::move(slots), shared_from_this(), level});
    }
    template <typename F> C Each(const C& a, F f, size_t more = 0) {
        auto slots = a->slots;
        for (size_t i = 0; i < slots.size(); i++)
            slots[i] = f(slots[i], i);
        return Of(slots, a->level + more);
    }
    template <typename F> C Both(const C& a, const C& b, F f, size_t more = 0) {
        auto result = Each(a, [&](double x, size_t i) { return f(x, b->slots.at(i)); });
        result->level = std::max(a->level, b->level) + more;
        return result;
    }

    void Enable(Feature) {}
    KeyPair<DCRTPoly> KeyGen() { return {}; }
    void EvalMultKeyGen(const Key&) {}
    C Encrypt(const Key&, const Plaintext& x) { return Of(x->slots); }
    void Decrypt(const Key&, const C& a, Plaintext* x) { *x = std::make_shared<Encoded>(Encoded{a->slots}); }

    Plaintext MakeCKKSPackedPlaintext(const std::vector<double>& x) { return std::make_shared<Encoded>(Encoded{x}); }
    C EvalAdd(const C& a, const C& b) { return Both(a, b, [](double x, double y) { return x + y; }); }
    C EvalAdd(const C& a, const Plaintext& b) { return Each(a, [&](double x, size_t i) { return x + b->slots.at(i); }); }
    C EvalAdd(const C& a, double b) { return Each(a, [&](double x, size_t) { return x + b; }); }
    C EvalSub(const C& a, const C& b) { return Both(a, b, [](double x, double y) { return x - y; }); }
    C EvalSub(const C& a, double b) { return Each(a, [&](double x, size_t) { return x - b; }); }
    C EvalMult(const C& a, const C& b) {
        products++;
        return Both(a, b, [](double x, double y) { return x * y; }, 1);
    }
    C EvalMult(const C& a, const Plaintext& b) { return Each(a, [&](double x, size_t i) { return x * b->slots.at(i); }, 1); }
    C EvalMult(const C& a, double b) { return Each(a, [&](double x, size_t) { return x * b; }, 1); }
};

inline CryptoContext<DCRTPoly> GenCryptoContext(const CCParams<CryptoContextCKKSRNS>&) { return std::make_shared<Context>(); }

}  // namespace lbcrypto
