// A doubly linked list whose links live in the members: O(1) unlink, no allocation. A link takes
// itself out of its list when it is destroyed, so a list never holds a dead element.
// Thread: one. Ownership: the list owns nothing.
#pragma once

#include <cstddef>

namespace pgweir::base {

class ListLink {
  public:
    ListLink() = default;
    ListLink(const ListLink&) = delete;
    ListLink& operator=(const ListLink&) = delete;
    ~ListLink() { unlink(); }

    bool linked() const noexcept { return prev_ != nullptr; }
    void unlink() noexcept {
        if (prev_ == nullptr) return;
        prev_->next_ = next_;
        next_->prev_ = prev_;
        prev_ = next_ = nullptr;
        --*size_;
    }

  private:
    template <class T, ListLink T::*>
    friend class IntrusiveList;
    ListLink* prev_ = nullptr;
    ListLink* next_ = nullptr;
    std::size_t* size_ = nullptr;
    void* self_ = nullptr;
};

template <class T, ListLink T::*Link>
class IntrusiveList {
  public:
    IntrusiveList() noexcept {
        head_.prev_ = head_.next_ = &head_;
        head_.size_ = &head_size_;
    }
    IntrusiveList(const IntrusiveList&) = delete;
    IntrusiveList& operator=(const IntrusiveList&) = delete;
    ~IntrusiveList() {
        while (!empty()) pop_front();
        head_.prev_ = head_.next_ = nullptr;
    }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    T* front() noexcept { return empty() ? nullptr : owner(head_.next_); }
    T* back() noexcept { return empty() ? nullptr : owner(head_.prev_); }
    T* next(T& t) noexcept {
        auto* n = (t.*Link).next_;
        return n == &head_ ? nullptr : owner(n);
    }

    void push_back(T& t) noexcept { insert_before(head_, t.*Link, t); }
    void push_front(T& t) noexcept { insert_before(*head_.next_, t.*Link, t); }
    T* pop_front() noexcept {
        T* t = front();
        if (t != nullptr) (t->*Link).unlink();
        return t;
    }

    /// Calls f(T&) for each; f may unlink or destroy the element it is given, no other.
    template <class F>
    void for_each(F&& f) {
        for (ListLink* l = head_.next_; l != &head_;) {
            ListLink* next = l->next_;
            f(*owner(l));
            l = next;
        }
    }

  private:
    static T* owner(ListLink* l) noexcept { return static_cast<T*>(l->self_); }
    void insert_before(ListLink& at, ListLink& l, T& t) noexcept {
        l.unlink();
        l.self_ = &t;
        l.prev_ = at.prev_;
        l.next_ = &at;
        l.size_ = &size_;
        at.prev_->next_ = &l;
        at.prev_ = &l;
        ++size_;
    }

    ListLink head_;
    std::size_t size_ = 0;
    std::size_t head_size_ = 0;
};

}  // namespace pgweir::base
