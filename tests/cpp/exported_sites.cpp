// For each site, whose inputs follow on a line (channel and value for each slot, values once more scaled into [-1,1]), what the exported
// header makes of them: levels, products of ciphertexts and values, of Evaluate or Max on a line, and of EvaluateScaled on the next one.
#include <iostream>

#include "activations.h"

namespace {

void Print(const lbcrypto::Context& context, const activation::Ciphertext& y, size_t expected) {
    if (y->level != expected)
        throw std::logic_error("Levels says something else");
    std::cout << y->level << ' ' << context.products;
    for (double slot : y->slots)
        std::cout << ' ' << slot;
    std::cout << '\n';
}

}  // namespace

int main() {
    std::cout.precision(17);
    for (const auto& site : activation::SITES) {
        size_t count;
        std::cin >> count;
        std::vector<double> values(count), scaled(count);
        std::vector<int> channels(count);
        for (size_t i = 0; i < count; i++)
            std::cin >> channels[i] >> values[i] >> scaled[i];
        auto context = std::make_shared<lbcrypto::Context>();
        auto x = context->Of(values);
        auto y = site.kind == "maxpool" ? activation::Max(x, context->Of(std::vector<double>(count)), site)
                                        : activation::Evaluate(x, site, channels);
        Print(*context, y, activation::Levels(site));
        context->products = 0;
        Print(*context, activation::EvaluateScaled(context->Of(scaled), site, channels), activation::Levels(site, true));
    }
}
