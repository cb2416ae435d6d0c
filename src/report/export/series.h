#ifndef POLYACT_SERIES
#define POLYACT_SERIES

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "openfhe.h"

namespace activation {

using Ciphertext = lbcrypto::Ciphertext<lbcrypto::DCRTPoly>;
// One number for all slots, or one for each channel.
using Numbers = std::vector<double>;

// c_0 + c_1 T_1(t) + c_2 T_2(t) + ... of a ciphertext t in [-1,1], at the least depth and in the fewest products of two ciphertexts
// known for it: 3 levels and 4 products for degree 7, 4 and 7 for 15, 5 and 11 for 31.
//
// p = q*T_g + r recursively, g a power of two. A part of degree 3 that is due at level 2 has c*T_3: with c in t, 2 (c t) T_2 - c t = c*T_3
// is ready there, and stands for T_3 everywhere; T_5, T_7 and so on are computed with the factor c as well, and their coefficients
// divided by it.
class Series {
public:
    explicit Series(std::vector<Numbers> coefficients) : coefficients(std::move(coefficients)) {
        size_t most = std::max<size_t>(2, Depth());
        for (bool folds : {false, true}) {
            for (size_t babies = 1; babies < most; babies++) {
                for (size_t giants = 1; giants < most; giants++) {
                    Walk walk({babies, giants, folds, {}, 0});
                    walk.Value(this->coefficients, Depth());
                    if (walk.IsPossible() && (plan.babies == 0 || walk.plan.products < plan.products))
                        plan = walk.plan;
                }
            }
        }
    }

    explicit Series(const std::vector<double>& chebyshev) : Series(Alone(chebyshev)) {}

    // Levels, and products of two ciphertexts.
    size_t Depth() const { return std::max<size_t>(1, Log(Degree(coefficients) + 1)); }
    size_t Products() const { return plan.products; }

    // channels[slot] is the channel that lies there, or negative where nothing does; needed where there is a number for each channel.
    Ciphertext Value(const Ciphertext& t, const std::vector<int>& channels = {}) const {
        return Walk(plan, t, channels).Value(coefficients, Depth());
    }

    // a times numbers, and plus numbers.
    static Ciphertext Times(const Ciphertext& a, const Numbers& numbers, const std::vector<int>& channels) {
        auto context = a->GetCryptoContext();
        if (numbers.size() == 1)
            return context->EvalMult(a, numbers[0]);
        return context->EvalMult(a, context->MakeCKKSPackedPlaintext(InSlots(numbers, channels)));
    }
    static Ciphertext Plus(const Ciphertext& a, const Numbers& numbers, const std::vector<int>& channels) {
        auto context = a->GetCryptoContext();
        if (numbers.size() == 1)
            return context->EvalAdd(a, numbers[0]);
        return context->EvalAdd(a, context->MakeCKKSPackedPlaintext(InSlots(numbers, channels)));
    }

private:
    // The most that a coefficient of an odd T_k may be of the factor, as that multiplies noise: up to here by less than a bit.
    static constexpr double LARGEST_RATIO = 20;

    struct Plan {
        // T_k is computed for k below 2^babies, and g goes up to 2^giants.
        size_t babies, giants;
        bool folds;
        // What the odd T_3, T_5 and so on have for a factor; empty where there is none.
        Numbers factor;
        size_t products;
    };

    std::vector<Numbers> coefficients;
    Plan plan = {};

    static std::vector<Numbers> Alone(const std::vector<double>& chebyshev) {
        std::vector<Numbers> all;
        for (double c : chebyshev)
            all.push_back({c});
        return all;
    }
    static std::vector<double> InSlots(const Numbers& numbers, const std::vector<int>& channels) {
        std::vector<double> slots;
        for (int channel : channels)
            slots.push_back(channel < 0 ? 0 : numbers.at(channel));
        return slots;
    }
    static bool IsZero(const Numbers& numbers) {
        return std::all_of(numbers.begin(), numbers.end(), [](double c) { return c == 0; });
    }
    static size_t Degree(const std::vector<Numbers>& c) {
        size_t n = c.size() - 1;
        while (n > 0 && IsZero(c[n]))
            n--;
        return n;
    }
    // Of n >= 1 the logarithm to base 2, rounded up.
    static size_t Log(size_t n) {
        size_t log = 0;
        while (size_t(1) << log < n)
            log++;
        return log;
    }

    // Through the series; without a ciphertext it counts.
    class Walk {
    public:
        explicit Walk(Plan plan) : plan(std::move(plan)), channels(NONE) { powers[1] = nullptr; }
        Walk(const Plan& plan, const Ciphertext& t, const std::vector<int>& channels)
            : plan(plan), context(t->GetCryptoContext()), channels(channels) {
            powers[1] = t;
        }

        Plan plan;

        bool IsPossible() const {
            for (const Numbers& numbers : odd)
                for (size_t i = 0; i < plan.factor.size(); i++)
                    if (std::abs(numbers[i]) > LARGEST_RATIO * std::abs(plan.factor[i]))
                        return false;
            return possible;
        }

        // The series of these coefficients, ready at this level.
        Ciphertext Value(const std::vector<Numbers>& c, size_t level) {
            size_t n = Degree(c);
            bool fold = n == 3 && level == 2 && plan.folds;
            if (fold) {
                // One factor for all.
                possible = possible && !folded;
                folded = true;
                plan.factor = c[3];
            }
            if (fold || (n < size_t(1) << plan.babies && Log(std::max<size_t>(1, n)) < level)) {
                Ciphertext sum = n == 0 ? Times(powers[1], Numbers(c[0].size())) : nullptr;
                for (size_t k = n; k > 0; k--) {
                    if (IsZero(c[k]))
                        continue;
                    auto term = fold && k == n ? T(k) : Term(k, c[k]);
                    sum = k == n ? term : Add(sum, term);
                }
                return IsZero(c[0]) ? sum : Plus(sum, c[0]);
            }
            size_t g = 2;
            while (2 * g <= n && Log(2 * g) <= plan.giants)
                g *= 2;
            if (g > n || Log(g) >= level) {
                possible = false;
                return nullptr;
            }
            // c_(g+j) T_(g+j) = 2 c_(g+j) T_g T_j - c_(g+j) T_|g-j|.
            auto quotient = std::vector<Numbers>(n - g + 1), rest = c;
            for (size_t j = n - g; j > 0; j--) {
                quotient[j] = rest[g + j];
                auto& below = rest[j > g ? j - g : g - j];
                for (size_t i = 0; i < below.size(); i++) {
                    below[i] -= quotient[j][i];
                    quotient[j][i] *= 2;
                }
            }
            quotient[0] = rest[g];
            rest.resize(g);
            auto product = Degree(quotient) == 0 ? Times(T(g), quotient[0]) : Product(T(g), Value(quotient, level - 1));
            if (Degree(rest) > 0)
                return Add(product, Value(rest, level));
            return IsZero(rest[0]) ? product : Plus(product, rest[0]);
        }

    private:
        inline static const std::vector<int> NONE;

        lbcrypto::CryptoContext<lbcrypto::DCRTPoly> context;
        const std::vector<int>& channels;
        std::map<size_t, Ciphertext> powers;
        // The coefficients that odd T_k have.
        std::vector<Numbers> odd;
        bool possible = true, folded = false;

        // T_k = 2 T_h T_(k-h) - T_|k-2h| for the largest power of two h below k, which is the least depth.
        Ciphertext T(size_t k) {
            if (auto known = powers.find(k); known != powers.end())
                return known->second;
            size_t h = 1;
            while (2 * h < k)
                h *= 2;
            auto product = Product(T(h), k % 2 == 1 ? Odd(k - h) : T(k - h));
            auto twice = Add(product, product);
            size_t rest = h > k - h ? 2 * h - k : k - 2 * h;
            if (rest == 0)
                return powers[k] = Plus(twice, {-1});
            return powers[k] = Sub(twice, k % 2 == 1 ? Odd(rest) : T(rest));
        }

        // T_k of odd k with the factor.
        Ciphertext Odd(size_t k) {
            if (k > 1 || plan.factor.empty())
                return T(k);
            if (powers.count(0) == 0)
                powers[0] = Times(powers[1], plan.factor);
            return powers[0];
        }

        Ciphertext Term(size_t k, Numbers numbers) {
            if (k % 2 == 1 && k > 1) {
                odd.push_back(numbers);
                for (size_t i = 0; i < plan.factor.size(); i++)
                    numbers[i] = numbers[i] == 0 ? 0 : numbers[i] / plan.factor[i];
            }
            return Times(T(k), numbers);
        }

        Ciphertext Product(const Ciphertext& a, const Ciphertext& b) {
            plan.products++;
            return context ? context->EvalMult(a, b) : nullptr;
        }
        Ciphertext Add(const Ciphertext& a, const Ciphertext& b) { return context ? context->EvalAdd(a, b) : nullptr; }
        Ciphertext Sub(const Ciphertext& a, const Ciphertext& b) { return context ? context->EvalSub(a, b) : nullptr; }
        Ciphertext Times(const Ciphertext& a, const Numbers& numbers) {
            return context ? Series::Times(a, numbers, channels) : nullptr;
        }
        Ciphertext Plus(const Ciphertext& a, const Numbers& numbers) {
            return context ? Series::Plus(a, numbers, channels) : nullptr;
        }
    };
};

}  // namespace activation

#endif
