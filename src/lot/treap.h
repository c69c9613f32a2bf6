// An ordered set of nodes that are part of something else: a binary search tree by key, kept
// shallow by being a heap by a hash of the key. Every operation costs about log2 of the number of
// keys, and none allocates. The hash is fixed, so the same keys always make the same tree.
#pragma once

#include <cstdint>

namespace underthread::lot {

struct TreapNode {
  std::uintptr_t key = 0;
  TreapNode* less = nullptr;
  TreapNode* more = nullptr;
};

/// `Node` derives from TreapNode. Keys are distinct. Whoever guards the treap guards its nodes.
template <class Node>
class Treap {
 public:
  constexpr Treap() noexcept = default;

  Node* find(std::uintptr_t key) const noexcept {
    TreapNode* at = root_;
    while (at && at->key != key) at = key < at->key ? at->less : at->more;
    return static_cast<Node*>(at);
  }

  /// No node of this key may be in the set.
  void insert(Node& node, std::uintptr_t key) noexcept {
    node.key = key;
    TreapNode** link = &root_;
    while (*link && rank((*link)->key) >= rank(key)) link = step(*link, key);
    // What hangs here ranks lower: it is split around the new node.
    TreapNode* rest = *link;
    TreapNode** less = &node.less;
    TreapNode** more = &node.more;
    while (rest) {
      if (rest->key < key) {
        *less = rest;
        less = &rest->more;
        rest = rest->more;
      } else {
        *more = rest;
        more = &rest->less;
        rest = rest->less;
      }
    }
    *less = nullptr;
    *more = nullptr;
    *link = &node;
  }

  /// The node must be in the set.
  void erase(Node& node) noexcept {
    TreapNode** link = link_to(node);
    TreapNode* less = node.less;
    TreapNode* more = node.more;
    while (less && more) {
      if (rank(less->key) >= rank(more->key)) {
        *link = less;
        link = &less->more;
        less = less->more;
      } else {
        *link = more;
        link = &more->less;
        more = more->less;
      }
    }
    *link = less ? less : more;
  }

  /// Puts `node`, which is not in the set, in the place and under the key of `old`, which leaves
  /// it.
  void replace(Node& old, Node& node) noexcept {
    node.key = old.key;
    node.less = old.less;
    node.more = old.more;
    *link_to(old) = &node;
  }

  /// Calls `seen` with each node, in the order of keys.
  template <class Function>
  void for_each(Function&& seen) const {
    for_each_below(root_, seen);
  }

  void clear() noexcept { root_ = nullptr; }
  bool empty() const noexcept { return root_ == nullptr; }

 private:
  static std::uint64_t rank(std::uintptr_t key) noexcept {
    std::uint64_t mixed = static_cast<std::uint64_t>(key) * 0x9E3779B97F4A7C15u;
    mixed ^= mixed >> 32;
    return mixed * 0xD6E8FEB86659FD93u;
  }

  // As deep as the tree is.
  template <class Function>
  static void for_each_below(TreapNode* at, Function& seen) {
    if (!at) return;
    for_each_below(at->less, seen);
    seen(*static_cast<Node*>(at));
    for_each_below(at->more, seen);
  }

  static TreapNode** step(TreapNode* at, std::uintptr_t key) noexcept {
    return key < at->key ? &at->less : &at->more;
  }

  TreapNode** link_to(Node& node) noexcept {
    TreapNode** link = &root_;
    while (*link != &node) link = step(*link, node.key);
    return link;
  }

  TreapNode* root_ = nullptr;
};

}  // namespace underthread::lot
