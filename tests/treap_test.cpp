#include "lot/treap.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace underthread::lot {
namespace {

struct Node : TreapNode {};

std::size_t depth(const TreapNode* node) {
  return node ? 1 + std::max(depth(node->less), depth(node->more)) : 0;
}

TEST(Treap, FindsWhatWasInsertedAndNothingElse) {
  Treap<Node> treap;
  Node a, b;
  EXPECT_TRUE(treap.empty());
  treap.insert(a, 10);
  treap.insert(b, 5);
  EXPECT_EQ(treap.find(10), &a);
  EXPECT_EQ(treap.find(5), &b);
  EXPECT_EQ(treap.find(7), nullptr);
  EXPECT_FALSE(treap.empty());
}

TEST(Treap, AnErasedNodeIsGoneAndTheRestStays) {
  Treap<Node> treap;
  Node a, b, c;
  treap.insert(a, 1);
  treap.insert(b, 2);
  treap.insert(c, 3);
  treap.erase(b);
  EXPECT_EQ(treap.find(1), &a);
  EXPECT_EQ(treap.find(2), nullptr);
  EXPECT_EQ(treap.find(3), &c);
}

TEST(Treap, AReplacementTakesThePlaceAndTheKey) {
  Treap<Node> treap;
  Node a, b, c, other;
  treap.insert(a, 1);
  treap.insert(b, 2);
  treap.insert(c, 3);
  treap.replace(b, other);
  EXPECT_EQ(treap.find(2), &other);
  EXPECT_EQ(other.key, 2u);
  EXPECT_EQ(treap.find(1), &a);
  EXPECT_EQ(treap.find(3), &c);
}

TEST(Treap, AgreesWithAMapOverManyRandomOperations) {
  std::mt19937 random(1);
  Treap<Node> treap;
  std::map<std::uintptr_t, Node*> model;
  std::vector<Node> nodes(300);
  std::vector<Node*> spare;
  for (Node& node : nodes) spare.push_back(&node);
  for (int step = 0; step < 50'000; ++step) {
    const std::uintptr_t key = random() % 500 * 8;
    const auto found = model.find(key);
    ASSERT_EQ(treap.find(key), found == model.end() ? nullptr : found->second);
    if (found == model.end()) {
      if (spare.empty()) continue;
      treap.insert(*spare.back(), key);
      model[key] = spare.back();
      spare.pop_back();
    } else if (random() % 2 == 0 && !spare.empty()) {
      Node* old = found->second;
      treap.replace(*old, *spare.back());
      found->second = spare.back();
      spare.back() = old;
    } else {
      treap.erase(*found->second);
      spare.push_back(found->second);
      model.erase(found);
    }
  }
}

TEST(Treap, StaysShallowForAddressesInARow) {
  constexpr std::size_t count = 4096;
  Treap<Node> treap;
  std::vector<Node> nodes(count);
  for (std::size_t i = 0; i < count; ++i) treap.insert(nodes[i], 0x7f0000000000 + i * 64);
  // The root is whichever node no other has below it.
  std::vector<bool> below(count);
  for (const Node& node : nodes)
    for (const TreapNode* child : {node.less, node.more})
      if (child)
        below[static_cast<std::size_t>(static_cast<const Node*>(child) - nodes.data())] = true;
  for (std::size_t i = 0; i < count; ++i)
    if (!below[i]) {
      // log2 is 12; a list would be 4096.
      EXPECT_LT(depth(&nodes[i]), 40u);
    }
}

}  // namespace
}  // namespace underthread::lot
