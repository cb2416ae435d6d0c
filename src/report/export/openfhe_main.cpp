// Evaluates every site of activations.h on ciphertexts, and prints the worst error beside the forecast; written by polyact for OpenFHE.
//
//     c++ -std=c++17 -O2 main.cpp -o check -I$PREFIX/include/openfhe{,/core,/pke,/binfhe} -L$PREFIX/lib -lOPENFHE{pke,core,binfhe}
//     ./check [BITS [RING]]
//
// with PREFIX where OpenFHE is installed, BITS of scale, 50 unless given, and RING a ring dimension. Without RING the library takes the
// least ring that has 128 bits of security, with one there is no security. What it needs: the key of EvalMultKeyGen, no key for
// rotations, and as many levels as the deepest site takes, so that nothing is bootstrapped. In a network with fewer levels, bootstrap
// (EvalBootstrapSetup, EvalBootstrapKeyGen, EvalBootstrap) before a site whose Levels are not left.
//
// The exit code is 1 where an error is above its forecast by more than a twentieth, and 2 for a wrong command line.
#include <cstdio>
#include <cstdlib>

#include "activations.h"

namespace {

using namespace activation;
using lbcrypto::DCRTPoly;

constexpr size_t SLOTS = 4096;
constexpr int FIRST_MODULUS = 60;

double Exact(const Site& site, double x) {
    return site.kind == "relu6" ? std::min(std::max(x, 0.0), 6.0) : std::max(x, 0.0);
}

struct Keys {
    lbcrypto::CryptoContext<DCRTPoly> context;
    lbcrypto::KeyPair<DCRTPoly> pair;

    Keys(int bits, int ring, size_t levels) {
        lbcrypto::CCParams<lbcrypto::CryptoContextCKKSRNS> parameters;
        parameters.SetMultiplicativeDepth(levels);
        parameters.SetScalingModSize(bits);
        parameters.SetFirstModSize(FIRST_MODULUS);
        parameters.SetScalingTechnique(lbcrypto::FLEXIBLEAUTO);
        parameters.SetBatchSize(SLOTS);
        if (ring > 0) {
            parameters.SetSecurityLevel(lbcrypto::HEStd_NotSet);
            parameters.SetRingDim(ring);
        }
        context = GenCryptoContext(parameters);
        for (auto feature : {lbcrypto::PKE, lbcrypto::KEYSWITCH, lbcrypto::LEVELEDSHE, lbcrypto::ADVANCEDSHE})
            context->Enable(feature);
        pair = context->KeyGen();
        context->EvalMultKeyGen(pair.secretKey);
    }

    Ciphertext Encrypt(const std::vector<double>& values) {
        return context->Encrypt(pair.publicKey, context->MakeCKKSPackedPlaintext(values));
    }

    std::vector<double> Decrypt(const Ciphertext& ciphertext) {
        lbcrypto::Plaintext plaintext;
        context->Decrypt(pair.secretKey, ciphertext, &plaintext);
        plaintext->SetLength(SLOTS);
        return plaintext->GetRealPackedValue();
    }
};

// Prints the row of a site; whether its error is as forecast.
bool Check(const Site& site, Keys& keys) {
    std::vector<double> x(SLOTS);
    std::vector<int> channels(SLOTS);
    size_t count = std::max<size_t>(1, site.polynomials.size());
    for (size_t slot = 0; slot < SLOTS; slot++) {
        size_t channel = slot * count / SLOTS, first = (channel * SLOTS + count - 1) / count;
        size_t last = ((channel + 1) * SLOTS + count - 1) / count - 1;
        double low = site.polynomials.empty() ? site.low : site.polynomials[channel].low;
        double high = site.polynomials.empty() ? site.high : site.polynomials[channel].high;
        x[slot] = low + (high - low) * (slot - first) / std::max<size_t>(1, last - first);
        channels[slot] = channel;
    }
    auto encrypted = keys.Encrypt(x);
    // Of a max-pool, the larger of x and 0.
    auto y = site.kind == "maxpool" ? Max(encrypted, keys.Encrypt(std::vector<double>(SLOTS)), site)
                                    : Evaluate(encrypted, site, channels);
    size_t levels = y->GetLevel() + y->GetNoiseScaleDeg() - 1;
    auto values = keys.Decrypt(y);
    double worst = 0;
    for (size_t slot = 0; slot < SLOTS; slot++)
        worst = std::max(worst, std::abs(values[slot] - Exact(site, x[slot])));
    bool kept = worst <= 1.05 * site.worst;
    std::printf("%-32s %6zu  %10.3e  %10.3e  %s\n", site.name.c_str(), levels, worst, site.worst, kept ? "yes" : "no");
    return kept;
}

}  // namespace

int main(int count, char** arguments) {
    int bits = count > 1 ? std::atoi(arguments[1]) : 50, ring = count > 2 ? std::atoi(arguments[2]) : 0;
    if (count > 3 || bits < 20 || bits > 59 || (count > 2 && ring < int(2 * SLOTS))) {
        std::fprintf(stderr, "%s [BITS [RING]]: BITS of scale from 20 to 59, RING a power of two from %zu on\n", arguments[0], 2 * SLOTS);
        return 2;
    }
    size_t levels = 0;
    for (const auto& site : SITES)
        levels = std::max(levels, Levels(site));
    std::printf("%zu sites, %zu levels, scale of %d bits\n\n", SITES.size(), levels, bits);
    std::printf("%-32s %6s  %10s  %10s  %s\n", "site", "levels", "worst", "forecast", "kept");
    Keys keys(bits, ring, levels);
    bool kept = true;
    for (const auto& site : SITES)
        kept = Check(site, keys) && kept;
    return kept ? 0 : 1;
}
